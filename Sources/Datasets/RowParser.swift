package import Terms

/// Brings one row of a known format to an `Example`; total: any JSON value gives an example or a `RowProblem`.
///
/// Formats: LLaMA-Factory (alpaca, sharegpt), OpenAI chat (messages), TRL (completion), Hugging Face (text, tokens).
package enum RowParser {
    /// The example of one row.
    ///
    /// - Parameter columns: what the columns of `alpaca` and `sharegpt` rows are called.
    package static func parse(
        _ row: JSONValue, as format: RowFormat, columns: ColumnMap = .usual
    ) throws(RowProblem) -> Example {
        guard let object = row.object else { throw RowProblem("a row must be a JSON object") }
        for column in columns.media {
            if let value = object[column], !value.isNull, value.array?.isEmpty != true, value.string != "" {
                throw RowProblem("`\(column)` holds pictures, films or sounds, which can't be trained on")
            }
        }
        return switch format {
        case .text: .text(try string(object, "text"))
        case .tokens: try tokens(object)
        case .messages: .chat(try conversation(object, listKey: "messages"))
        case .completion: try completion(object)
        case .alpaca: try alpaca(object, columns)
        case .sharegpt: .chat(try sharegpt(object, columns))
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

    private static func alpaca(_ object: JSONObject, _ columns: ColumnMap) throws(RowProblem) -> Example {
        var parts: [String] = []
        if let prompt = columns.prompt { parts.append(try string(object, prompt)) }
        if let query = columns.query, let text = try optionalString(object, query) { parts.append(text) }
        let question = parts.filter { !$0.isEmpty }.joined(separator: "\n")
        guard let response = columns.response else { return .text(question) }
        var turns: [Turn] = []
        if let column = columns.system, let system = try optionalString(object, column) {
            turns.append(Turn("system", system))
        }
        if let history = columns.history { turns += try pairs(object, history) }
        turns.append(Turn("user", question))
        turns.append(Turn("assistant", try string(object, response)))
        return .chat(
            Conversation(
                turns: turns,
                tools: try columns.tools.flatMap { key throws(RowProblem) in
                    try tools(object, key)
                }))
    }

    /// Earlier turns as a list of pairs; none when the column is absent or null.
    private static func pairs(_ object: JSONObject, _ key: String) throws(RowProblem) -> [Turn] {
        guard let history = object[key], !history.isNull else { return [] }
        guard let pairs = history.array else { throw RowProblem("`\(key)` must be a list of [question, answer]") }
        var turns: [Turn] = []
        for (index, pair) in pairs.enumerated() {
            guard let pair = pair.array, pair.count == 2, let question = pair[0].string, let answer = pair[1].string
            else { throw RowProblem("`\(key)`[\(index)] must be [question, answer], two strings") }
            turns += [Turn("user", question), Turn("assistant", answer)]
        }
        return turns
    }
}
