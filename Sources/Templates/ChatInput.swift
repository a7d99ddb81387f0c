package import Terms

/// What a chat template is given to render.
package struct ChatInput: Sendable, Equatable {
    /// Messages with `role`, `content`, `tool_calls` and so on; members that are null are left out by the caller.
    package var messages: [JSONObject]
    /// JSON schemas of the functions that may be called; nil = the variable is none.
    package var tools: [JSONValue]?
    /// Whether the text ends with the head of the assistant turn to come.
    package var addGenerationPrompt: Bool
    /// Further variables that the checkpoint or the user of the command sets, for instance `bos_token`; they count as
    /// template text, because no dataset row can reach them.
    package var variables: JSONObject
    /// What `strftime_now` tells; a fixed date makes the rendering a pure function.
    package var date: CalendarDate
    /// When given, members of messages other than `role` that are integers in texts stand for texts left open.
    package var openTexts: OpenTexts?

    /// Input for one rendering.
    package init(
        messages: [JSONObject], tools: [JSONValue]? = nil, addGenerationPrompt: Bool = false,
        variables: JSONObject = JSONObject(), date: CalendarDate = .epoch, openTexts: OpenTexts? = nil
    ) {
        self.messages = messages
        self.tools = tools
        self.addGenerationPrompt = addGenerationPrompt
        self.variables = variables
        self.date = date
        self.openTexts = openTexts
    }
}

/// A date and a time of day without a zone, as `strftime_now` shows it.
package struct CalendarDate: Sendable, Hashable {
    /// Of the Gregorian calendar.
    package var year: Int
    /// 1...12.
    package var month: Int
    /// 1...31.
    package var day: Int
    /// 0...23.
    package var hour: Int
    /// 0...59.
    package var minute: Int
    /// 0...59.
    package var second: Int

    /// A date at a time of day, midnight unless told.
    package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// 1 January 1970.
    package static let epoch = CalendarDate(year: 1970, month: 1, day: 1)
}
