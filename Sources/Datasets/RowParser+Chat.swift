import Terms

extension RowParser {
    /// Messages under `listKey` in OpenAI's shape, with the row's `tools`.
    static func conversation(
        _ object: JSONObject, listKey: String, needsAssistant: Bool = true
    ) throws(RowProblem) -> Conversation {
        guard let list = object[listKey]?.array else { throw RowProblem("`\(listKey)` must be a list of messages") }
        guard !list.isEmpty else { throw RowProblem("`\(listKey)` is empty") }
        var turns: [Turn] = []
        for (index, value) in list.enumerated() {
            do { turns.append(try turn(value)) } catch { throw RowProblem("`\(listKey)`[\(index)]: \(error)") }
        }
        if needsAssistant, !turns.contains(where: \.isTrained) {
            throw RowProblem("`\(listKey)` has no assistant message to train on")
        }
        return Conversation(turns: turns, tools: try tools(object))
    }

    private static func turn(_ value: JSONValue) throws(RowProblem) -> Turn {
        guard let source = value.object else { throw RowProblem("a message must be an object") }
        let role = try string(source, "role")
        guard Roles.known.contains(role) else {
            throw RowProblem("the role `\(role.prefix(40))` is not one of \(Roles.known.joined(separator: ", "))")
        }
        var message = JSONObject()
        var isTrained = role == Roles.assistant
        for (key, member) in source.members where !member.isNull {
            switch key {
            case "content": message[key] = try content(member)
            case "tool_calls": message[key] = try toolCalls(member)
            case "weight", "loss_weight":
                guard let weight = member.double, weight == 0 || weight == 1 else {
                    throw RowProblem("`\(key)` must be 0 or 1")
                }
                isTrained = isTrained && weight != 0
            case "train":
                guard let train = member.bool else { throw RowProblem("`train` must be true or false") }
                isTrained = isTrained && train
            default: message[key] = member
            }
        }
        // Templates expect a call without content to have no such member.
        guard message["content"] != nil || message["tool_calls"] != nil else {
            throw RowProblem("`content` is missing")
        }
        aliasReasoning(&message)
        return Turn(role: role, message: message, isTrained: isTrained)
    }

    /// Reasoning goes by three names; the templates of two families read different ones, as in transformers 5.
    static func aliasReasoning(_ message: inout JSONObject) {
        guard let reasoning = message["reasoning_content"] ?? message["thinking"] ?? message["reasoning"] else {
            return
        }
        message["reasoning_content"] = reasoning
        if message["thinking"] == nil { message["thinking"] = reasoning }
    }

    /// Content as one string: text parts are joined, other parts can't be trained.
    private static func content(_ value: JSONValue) throws(RowProblem) -> JSONValue {
        if value.string != nil { return value }
        guard let parts = value.array else { throw RowProblem("`content` must be a string or a list of text parts") }
        var text = ""
        for part in parts {
            if let plain = part.string {
                text += plain
            } else if part["type"]?.string == "text" {
                // LLaMA-Factory's newer sets write `value`.
                guard let plain = part["text"]?.string ?? part["value"]?.string else {
                    throw RowProblem("a content part of type `text` has no string `text`")
                }
                text += plain
            } else {
                let type = part["type"]?.string ?? "?"
                throw RowProblem("a content part of type `\(type)` can't be trained; only `text` can")
            }
        }
        return .string(text)
    }

    /// OpenAI writes a call's arguments as JSON in a string; templates want the value itself.
    private static func toolCalls(_ value: JSONValue) throws(RowProblem) -> JSONValue {
        guard let calls = value.array else { throw RowProblem("`tool_calls` must be a list") }
        var list: [JSONValue] = []
        for call in calls {
            guard var object = call.object else { throw RowProblem("a tool call must be an object") }
            if var function = object["function"]?.object {
                function["arguments"] = unquoted(function["arguments"])
                object["function"] = .object(function)
            } else if object["arguments"] != nil {
                object["arguments"] = unquoted(object["arguments"])
            }
            list.append(.object(object))
        }
        return .array(list)
    }

    private static func unquoted(_ arguments: JSONValue?) -> JSONValue? {
        guard let text = arguments?.string, let value = try? JSONValue.parse(text), value.object != nil else {
            return arguments
        }
        return value
    }

    /// The row's `tools`, nil when there are none: a list, or JSON text of one; bare functions are wrapped as OpenAI's.
    static func tools(_ object: JSONObject, _ key: String = "tools") throws(RowProblem) -> [JSONValue]? {
        guard var value = object[key], !value.isNull, value.string != "" else { return nil }
        if let text = value.string {
            guard let parsed = try? JSONValue.parse(text) else { throw RowProblem("`\(key)` is a string, but no JSON") }
            value = parsed
        }
        guard let list = value.array else { throw RowProblem("`\(key)` must be a list of function descriptions") }
        if list.isEmpty { return nil }
        return list.map { tool in
            guard let members = tool.object, members["function"] == nil, members["name"] != nil, members["type"] == nil
            else { return tool }
            return .members(["type": .string("function"), "function": tool])
        }
    }

    static func sharegpt(_ object: JSONObject, _ columns: ColumnMap) throws(RowProblem) -> Conversation {
        let key = columns.messages
        guard let list = object[key]?.array, !list.isEmpty else {
            throw RowProblem("`\(key)` must be a list of turns that is not empty")
        }
        // Some sets keep OpenAI messages under ShareGPT's key.
        if columns == .usual, list[0]["role"] != nil { return try conversation(object, listKey: key) }
        var turns: [Turn] = []
        if let column = columns.system, let system = try optionalString(object, column) {
            turns.append(Turn("system", system))
        }
        for (index, value) in list.enumerated() {
            do { turns.append(try turn(value, columns)) } catch { throw RowProblem("`\(key)`[\(index)]: \(error)") }
        }
        guard turns.contains(where: \.isTrained) else {
            throw RowProblem("`\(key)` has no assistant's turn to train on")
        }
        return Conversation(
            turns: turns,
            tools: try columns.tools.flatMap { key throws(RowProblem) in
                try tools(object, key)
            })
    }

    /// One turn of a ShareGPT conversation; with OpenAI's calls where it has some.
    private static func turn(_ value: JSONValue, _ columns: ColumnMap) throws(RowProblem) -> Turn {
        guard let from = value[columns.role]?.string else {
            throw RowProblem("a turn must have the string `\(columns.role)`")
        }
        guard let role = columns.role(of: from) else {
            throw RowProblem("unknown speaker `\(from.prefix(40))`; known: \(columns.speakerNames)")
        }
        if let calls = value["tool_calls"], calls.array?.isEmpty == false, role == Roles.assistant {
            var message = JSONObject([("role", .string(role))])
            if let text = value[columns.content], !text.isNull { message["content"] = text }
            message["tool_calls"] = calls
            return try turn(.object(message))
        }
        guard let text = value[columns.content]?.string else {
            throw RowProblem("a turn must have the string `\(columns.content)`")
        }
        return columns.isCall(from) ? try functionCall(text) : Turn(role, text)
    }

    /// A ShareGPT call, `{"name", "arguments"}` or a list of them as JSON text, as an assistant message.
    private static func functionCall(_ text: String) throws(RowProblem) -> Turn {
        guard let value = try? JSONValue.parse(text) else {
            throw RowProblem("a call's text must be JSON")
        }
        var calls: [JSONValue] = []
        for call in value.array ?? [value] {
            guard let name = call["name"], name.string != nil, let arguments = call["arguments"] else {
                throw RowProblem("a call needs `name` and `arguments`")
            }
            let function = JSONValue.members(["name": name, "arguments": unquoted(arguments) ?? arguments])
            calls.append(.members(["type": .string("function"), "function": function]))
        }
        let message = JSONObject([("role", .string(Roles.assistant)), ("tool_calls", .array(calls))])
        return Turn(role: Roles.assistant, message: message, isTrained: true)
    }
}
