import Terms
import Testing

@testable import Datasets

@Suite struct DatasetInfoTests {
    let folder = try! TemporaryFolder()

    func info(_ text: String) throws -> String { try folder.file("dataset_info.json", text) }

    /// The examples of the rows of the file that a path stands for.
    func examples(_ path: String) throws -> [Example] {
        var examples: [Example] = []
        for file in try DatasetInfo.files(of: DatasetFile(path: path)) {
            var source = try RowSource(path: file.path)
            let format = try DatasetReader.detection(of: file).format
            while let row = try source.next() {
                examples.append(try RowParser.parse(try row.value(), as: format, columns: file.columns))
            }
        }
        return examples
    }

    @Test func `alpaca columns have other names, and unnamed ones don't exist`() throws {
        _ = try folder.file("a.json", #"[{"q": "Q", "sys": "S", "a": "A", "input": "not this", "h": [["x", "y"]]}]"#)
        let path = try info(
            #"""
            {"one": {"file_name": "a.json", "columns":
              {"prompt": "q", "response": "a", "system": "sys", "history": "h"}}}
            """#)

        let expected = Example.chat(
            Conversation(turns: [
                Turn("system", "S"), Turn("user", "x"), Turn("assistant", "y"), Turn("user", "Q"),
                Turn("assistant", "A"),
            ]))
        #expect(try examples(path) == [expected])
        #expect(try examples(path + "#one") == [expected])
        #expect(try examples(folder.path) == [expected])
        // The file itself is looked up beside it.
        #expect(try examples("\(folder.path)/a.json") == [expected])
        let found = try DatasetInfo.files(of: DatasetFile(path: "\(folder.path)/a.json"))
        #expect(try DatasetReader.detection(of: found[0]).explanation.contains("the entry `one`"))
        let given = DatasetFile(path: "\(folder.path)/a.json", format: .alpaca)
        #expect(try DatasetInfo.files(of: given) == [given])
    }

    @Test func `speakers have other names`() throws {
        _ = try folder.file(
            "c.jsonl",
            #"""
            {"talk": [{"who": "S", "says": "s"}, {"who": "U", "says": "u"}, {"who": "F", "says": "{\"name\": \"f\", \"arguments\": {}}"}, {"who": "O", "says": "o"}, {"who": "A", "says": "a"}], "t": "[]"}
            """#)
        let path = try info(
            #"""
            {"c": {"file_name": "c.jsonl", "formatting": "sharegpt", "columns": {"messages": "talk", "tools": "t"},
             "tags": {"role_tag": "who", "content_tag": "says", "user_tag": "U", "assistant_tag": "A",
                      "observation_tag": "O", "function_tag": "F", "system_tag": "S"}}}
            """#)
        guard case .chat(let conversation) = try examples(path)[0] else {
            Issue.record("no conversation")
            return
        }
        #expect(conversation.turns.map(\.role) == ["system", "user", "assistant", "tool", "assistant"])
        #expect(conversation.turns[2].message["tool_calls"]?.array?.count == 1)
        #expect(conversation.turns.map(\.isTrained) == [false, false, true, false, true])
    }

    @Test func `a set without answers is text`() throws {
        _ = try folder.file("w.jsonl", #"{"body": "once"}"#)
        let path = try info(#"{"w": {"file_name": "w.jsonl", "columns": {"prompt": "body"}}}"#)

        #expect(try examples(path) == [.text("once")])
    }

    @Test func `messages of OpenAI's shape keep their calls`() throws {
        _ = try folder.file(
            "o.jsonl",
            #"""
            {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "3"}, {"role": "assistant", "content": "a"}]}
            """#)
        let path = try info(
            #"""
            {"o": {"file_name": "o.jsonl", "formatting": "openai", "columns": {"messages": "messages"}}}
            """#)
        guard case .chat(let conversation) = try examples(path)[0] else {
            Issue.record("no conversation")
            return
        }
        #expect(conversation.turns.map(\.role) == ["user", "assistant", "tool", "assistant"])
        #expect(conversation.turns[1].message["tool_calls"] != nil)
    }

    @Test func `several names are several files with the entry's weight and choice`() throws {
        for name in ["a", "b"] { _ = try folder.file("\(name).json", #"[{"instruction": "i", "output": "o"}]"#) }
        let path = try info(
            #"""
            {"a": {"file_name": "a.json", "num_samples": 3}, "b": {"file_name": "b.json"}, "c": {"hf_hub_url": "x/y"}}
            """#)
        let files = try DatasetInfo.files(of: DatasetFile(path: path + "#b,a", weight: 2))

        #expect(files.map(\.path) == ["\(folder.path)/b.json", "\(folder.path)/a.json"])
        #expect(files.map(\.weight) == [2, 2])
        #expect(files.map(\.sampleLimit) == [nil, 3])
        #expect(throws: DatasetError.self) { try DatasetInfo.files(of: DatasetFile(path: path)) }
    }

    @Test(arguments: [
        (#"{"file_name": "a.json", "ranking": true}"#, "preferences"), (#"{"hf_hub_url": "x/y"}"#, "download"),
        (#"{"file_name": "a.json", "columns": {"chosen": "c"}}"#, "preferences"),
        (#"{"file_name": "a.json", "columns": {"prompts": "c"}}"#, "unknown column `prompts`"),
        (#"{"file_name": "a.json", "formatting": "x"}"#, "unknown formatting"),
        (#"{"file_name": "a.json", "formatting": "sharegpt", "tags": {"user": "c"}}"#, "unknown tag `user`"),
        (#"{"file_name": "a.json", "split": "test"}"#, "split"), (#"{"columns": {}}"#, "no `file_name`"),
        (#"{"file_name": "a.json", "shuffel": 1}"#, "unknown key `shuffel`"), ("3", "must be an object"),
        (#"{"file_name": "a.json", "num_samples": 0}"#, "num_samples"),
    ])
    func `what can't be honoured is refused by name`(entry: (text: String, word: String)) throws {
        let path = try info(#"{"one": \#(entry.text)}"#)
        let error = #expect(throws: DatasetError.self) { try DatasetInfo.files(of: DatasetFile(path: path)) }
        #expect(error?.description.contains("`one`") == true)
        #expect(error?.description.contains(entry.word) == true, "\(error?.description ?? "")")
    }

    @Test func `pictures in a row are a fault of the row`() throws {
        _ = try folder.file("m.json", #"[{"instruction": "i", "output": "o", "images": ["x.png"]}]"#)
        let path = try info(
            #"""
            {"m": {"file_name": "m.json", "columns": {"prompt": "instruction", "response": "output", "images": "images"}}}
            """#)
        #expect(throws: RowProblem.self) { try examples(path) }
    }
}
