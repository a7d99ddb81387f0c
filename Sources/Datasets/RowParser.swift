package import Terms

/// Brings one row of a known format to an `Example`; total: any JSON value gives an example or a `RowProblem`.
///
/// Formats: LLaMA-Factory (alpaca, sharegpt), OpenAI chat (messages), TRL (completion), Hugging Face (text, tokens).
package enum RowParser {
    /// The example of one row.
    package static func parse(_ row: JSONValue, as format: RowFormat) throws(RowProblem) -> Example {
        guard let object = row.object else { throw RowProblem("a row must be a JSON object") }
        return switch format {
        case .text: .text(try string(object, "text"))
        case .tokens: try tokens(object)
        case .messages: .chat(try conversation(object, listKey: "messages"))
        case .completion: try completion(object)
        case .alpaca: .chat(try alpaca(object))
        case .sharegpt: .chat(try sharegpt(object))
        }
    }

    /// The string under `key`, which must be there.
    static func string(_ object: JSONObject, _ key: String) throws(RowProblem) -> String {
        guard let value = object[key] else { throw RowProblem("`\(key)` is missing") }
        guard let text = value.string else { throw RowProblem("`\(key)` must be a string") }
        return text
    }

    /// The string under `key`, nil when absent, null or empty.
    static func optionalString(_ object: JSONObject, _ key: String) throws(RowProblem) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let text = value.string else { throw RowProblem("`\(key)` must be a string") }
        return text.isEmpty ? nil : text
    }

    private static func tokens(_ object: JSONObject) throws(RowProblem) -> Example {
        let ids = try integers(object, "input_ids")
        guard !ids.isEmpty else { throw RowProblem("`input_ids` is empty") }
        if let bad = ids.first(where: { $0 < 0 }) { throw RowProblem("`input_ids` holds \(bad); ids are not negative") }
        guard let given = object["labels"], !given.isNull else { return .tokens(ids: ids, labels: ids) }
        let labels = try integers(object, "labels")
        guard labels.count == ids.count else {
            throw RowProblem("`labels` has \(labels.count) elements and `input_ids` \(ids.count); they are aligned")
        }
        if let bad = labels.first(where: { $0 < 0 && $0 != Sample.ignored }) {
            throw RowProblem("`labels` holds \(bad); a label is a token id, or -100 for untrained")
        }
        return .tokens(ids: ids, labels: labels)
    }

    private static func integers(_ object: JSONObject, _ key: String) throws(RowProblem) -> [Int32] {
        guard let values = object[key]?.array else { throw RowProblem("`\(key)` must be a list of integers") }
        var integers: [Int32] = []
        integers.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let integer = value.int.flatMap(Int32.init(exactly:)) else {
                throw RowProblem("`\(key)`[\(index)] is not an integer of 32 bits")
            }
            integers.append(integer)
        }
        return integers
    }

    private static func completion(_ object: JSONObject) throws(RowProblem) -> Example {
        if object["prompt"]?.array != nil || object["completion"]?.array != nil {
            var prompt = try conversation(object, listKey: "prompt", needsAssistant: false)
            let answer = try conversation(object, listKey: "completion")
            // Only the completion is trained, whatever the prompt's turns are.
            for index in prompt.turns.indices { prompt.turns[index].isTrained = false }
            return .chat(Conversation(turns: prompt.turns + answer.turns, tools: prompt.tools))
        }
        let completion = try string(object, "completion")
        guard !completion.isEmpty else { throw RowProblem("`completion` is empty") }
        return .completion(prompt: try string(object, "prompt"), completion: completion)
    }

    private static func alpaca(_ object: JSONObject) throws(RowProblem) -> Conversation {
        var turns: [Turn] = []
        if let system = try optionalString(object, "system") { turns.append(Turn("system", system)) }
        if let history = object["history"], !history.isNull {
            guard let pairs = history.array else { throw RowProblem("`history` must be a list of [question, answer]") }
            for (index, pair) in pairs.enumerated() {
                guard let pair = pair.array, pair.count == 2, let question = pair[0].string, let answer = pair[1].string
                else { throw RowProblem("`history`[\(index)] must be [question, answer], two strings") }
                turns += [Turn("user", question), Turn("assistant", answer)]
            }
        }
        let instruction = try string(object, "instruction")
        let input = try optionalString(object, "input")
        let question = [instruction, input ?? ""].filter { !$0.isEmpty }.joined(separator: "\n")
        turns.append(Turn("user", question))
        turns.append(Turn("assistant", try string(object, "output")))
        return Conversation(turns: turns)
    }
}
