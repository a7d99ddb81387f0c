package import Terms

extension RowFormat {
    /// A format and the sentence that explains how it was recognised.
    package struct Detection: Sendable, Equatable {
        /// What the rows are taken for.
        package var format: RowFormat
        /// For people: the format and what gave it away.
        package var explanation: String
    }

    /// Recognises a row by its keys alone; nil when they fit no format.
    package static func detect(_ row: JSONValue) -> Detection? {
        guard let object = row.object else { return nil }
        func found(_ format: RowFormat, _ why: String) -> Detection {
            Detection(format: format, explanation: "\(format.rawValue): the first row has \(why)")
        }
        if object["input_ids"]?.array != nil { return found(.tokens, "`input_ids`") }
        if object["messages"]?.array != nil { return found(.messages, "a list `messages`") }
        if object["conversations"]?.array != nil { return found(.sharegpt, "a list `conversations`") }
        if object["instruction"] != nil, object["output"] != nil {
            return found(.alpaca, "`instruction` and `output`")
        }
        if object["prompt"] != nil, object["completion"] != nil {
            return found(.completion, "`prompt` and `completion`")
        }
        if object["text"]?.string != nil { return found(.text, "a string `text`") }
        return nil
    }
}
