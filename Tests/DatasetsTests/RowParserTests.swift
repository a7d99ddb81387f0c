import Datasets
import Terms
import Testing

@Suite struct RowParserTests {
    func parse(_ text: String, _ format: RowFormat) throws -> Example {
        try RowParser.parse(try JSONValue.parse(text), as: format)
    }

    func turns(_ text: String, _ format: RowFormat) throws -> [Turn] {
        guard case .chat(let conversation) = try parse(text, format) else { return [] }
        return conversation.turns
    }

    func problem(_ text: String, _ format: RowFormat) -> String? {
        do {
            _ = try parse(text, format)
            return nil
        } catch { return "\(error)" }
    }

    @Test func `alpaca joins instruction and input, and history comes first`() throws {
        let row = #"{"instruction": "add", "input": "1 2", "output": "3", "system": "s", "history": [["q", "a"]]}"#

        #expect(
            try turns(row, .alpaca) == [
                Turn("system", "s"), Turn("user", "q"), Turn("assistant", "a"), Turn("user", "add\n1 2"),
                Turn("assistant", "3"),
            ])
        #expect(try turns(#"{"instruction": "add", "input": "", "output": "3"}"#, .alpaca)[0] == Turn("user", "add"))
        #expect(try turns(#"{"instruction": "add", "input": null, "output": "3"}"#, .alpaca).count == 2)
    }

    @Test func `messages are left out of training by a weight of 0`() throws {
        let row = #"""
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "WEIGHT": 0},
             {"role": "user", "content": [{"type": "text", "value": "r"}]}, {"role": "assistant", "content": "b"}]}
            """#
        for key in ["weight", "loss_weight"] {
            let turns = try turns(row.replacing("WEIGHT", with: key), .messages)
            #expect(turns.map(\.isTrained) == [false, false, false, true])
            #expect(turns[2].message["content"]?.string == "r")
            #expect(turns[1].message[key] == nil)
        }
        #expect(throws: RowProblem.self) {
            try turns(row.replacing("\"WEIGHT\": 0", with: "\"weight\": 0.5"), .messages)
        }
    }

    @Test func `sharegpt speakers become roles`() throws {
        let row = """
            {"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"},
             {"from": "observation", "value": "o"}]}
            """
        #expect(try turns(row, .sharegpt).map(\.role) == ["system", "user", "assistant", "tool"])
        #expect(try turns(row, .sharegpt).map(\.isTrained) == [false, false, true, false])
    }

    @Test func `a sharegpt function_call becomes tool calls, and its tools are read from text`() throws {
        let row = #"""
            {"conversations": [{"from": "human", "value": "q"},
             {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}],
             "tools": "[{\"name\": \"f\", \"parameters\": {}}]"}
            """#
        guard case .chat(let conversation) = try parse(row, .sharegpt) else { return }
        let call = conversation.turns[1].message["tool_calls"]?.array?.first

        #expect(call?["function"]?["name"]?.string == "f")
        #expect(call?["function"]?["arguments"]?["x"]?.int == 1)
        #expect(conversation.turns[1].isTrained)
        #expect(conversation.tools?.first?["function"]?["name"]?.string == "f")
    }

    @Test func `sharegpt rows that hold messages are read as messages`() throws {
        let row = #"{"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#

        #expect(try turns(row, .sharegpt) == [Turn("user", "q"), Turn("assistant", "a")])
    }

    @Test func `messages keep their members, drop nulls and join text parts`() throws {
        let row = #"""
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
             {"role": "assistant", "content": null, "reasoning_content": "r", "name": null,
              "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
             {"role": "tool", "tool_call_id": "1", "content": "c"}]}
            """#
        let turns = try turns(row, .messages)

        #expect(turns[0].message["content"] == .string("ab"))
        #expect(turns[1].message.keys == ["role", "reasoning_content", "tool_calls", "thinking"])
        #expect(turns[1].message["tool_calls"]?.array?[0]["function"]?["arguments"]?["x"]?.int == 1)
        #expect(turns[2].message["tool_call_id"]?.string == "1")
    }

    @Test func `weight 0 and train false leave a message out of training`() throws {
        let row = #"""
            {"messages": [{"role": "assistant", "content": "a", "weight": 0}, {"role": "assistant", "content": "b",
             "train": false}, {"role": "assistant", "content": "c", "weight": 1}]}
            """#
        #expect(try turns(row, .messages).map(\.isTrained) == [false, false, true])
        #expect(try turns(row, .messages)[0].message["weight"] == nil)
    }

    @Test func `a completion may be texts or messages, and only the completion is trained`() throws {
        let texts = #"{"prompt": "p", "completion": "c"}"#
        #expect(try parse(texts, .completion) == .completion(prompt: "p", completion: "c"))
        let row = #"""
            {"prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
             "completion": [{"role": "assistant", "content": "b"}]}
            """#
        #expect(try turns(row, .completion).map(\.isTrained) == [false, false, true])
    }

    @Test func `tokens are taken as they are, all trained without labels`() throws {
        let labelled = #"{"input_ids": [1, 2], "labels": [-100, 2]}"#
        #expect(try parse(labelled, .tokens) == .tokens(ids: [1, 2], labels: [-100, 2]))
        #expect(try parse(#"{"input_ids": [1, 2]}"#, .tokens) == .tokens(ids: [1, 2], labels: [1, 2]))
    }

    @Test func `every kind of bad row says what is wrong`() {
        let cases: [(String, RowFormat, String)] = [
            ("[]", .text, "a row must be a JSON object"),
            ("{}", .text, "`text` is missing"),
            (#"{"text": 1}"#, .text, "`text` must be a string"),
            (#"{"input_ids": []}"#, .tokens, "`input_ids` is empty"),
            (#"{"input_ids": [1.5]}"#, .tokens, "`input_ids`[0] is not an integer of 32 bits"),
            (#"{"input_ids": [99999999999]}"#, .tokens, "`input_ids`[0] is not an integer of 32 bits"),
            (#"{"input_ids": [-1]}"#, .tokens, "`input_ids` holds -1; ids are not negative"),
            (
                #"{"input_ids": [1], "labels": [1, 2]}"#, .tokens,
                "`labels` has 2 elements and `input_ids` 1; they are aligned"
            ),
            (
                #"{"input_ids": [1], "labels": [-5]}"#, .tokens,
                "`labels` holds -5; a label is a token id, or -100 for untrained"
            ),
            (#"{"instruction": "a"}"#, .alpaca, "`output` is missing"),
            (
                #"{"instruction": "a", "output": "b", "history": [["q"]]}"#, .alpaca,
                "`history`[0] must be [question, answer], two strings"
            ),
            (#"{"prompt": "a", "completion": ""}"#, .completion, "`completion` is empty"),
            (#"{"messages": []}"#, .messages, "`messages` is empty"),
            (#"{"messages": [{"role": "assistant"}]}"#, .messages, "`messages`[0]: `content` is missing"),
            (
                #"{"messages": [{"role": "user", "content": "a"}]}"#, .messages,
                "`messages` has no assistant message to train on"
            ),
            (
                #"{"messages": [{"role": "wizard", "content": "a"}]}"#, .messages,
                "`messages`[0]: the role `wizard` is not one of \(Roles.known.joined(separator: ", "))"
            ),
            (
                #"{"messages": [{"role": "user", "content": [{"type": "image"}]}]}"#, .messages,
                "`messages`[0]: a content part of type `image` can't be trained; only `text` can"
            ),
            (
                #"{"conversations": [{"from": "human"}]}"#, .sharegpt,
                "`conversations`[0]: a turn must have the string `value`"
            ),
            (
                #"{"conversations": [{"from": "alien", "value": "x"}]}"#, .sharegpt,
                "`conversations`[0]: unknown speaker `alien`; known: human, gpt, system, observation, function_call"
            ),
            (
                #"{"conversations": [{"from": "function_call", "value": "x"}]}"#, .sharegpt,
                "`conversations`[0]: a call's text must be JSON"
            ),
        ]
        for (row, format, expected) in cases { #expect(problem(row, format) == expected, "\(row)") }
    }

    @Test func `formats are recognised by their keys, with the reason`() throws {
        let cases: [(String, RowFormat?)] = [
            (#"{"input_ids": [1]}"#, .tokens), (#"{"messages": []}"#, .messages),
            (#"{"conversations": []}"#, .sharegpt),
            (#"{"instruction": "", "output": ""}"#, .alpaca), (#"{"prompt": "", "completion": ""}"#, .completion),
            (#"{"text": ""}"#, .text), (#"{"body": ""}"#, nil), ("[]", nil), (#"{"text": 1}"#, nil),
        ]
        for (row, format) in cases { #expect(RowFormat.detect(try JSONValue.parse(row))?.format == format, "\(row)") }
        let detection = RowFormat.detect(try JSONValue.parse(#"{"text": ""}"#))
        #expect(detection?.explanation == "text: the first row has a string `text`")
    }
}
