import Terms
import Testing

@testable import Datasets

@Suite struct RowSourceTests {
    let folder = try! TemporaryFolder()

    /// Line and JSON text (or the reason) of each row.
    func rows(_ name: String, _ bytes: [UInt8]) throws -> [String] {
        var source = try RowSource(path: folder.file(name, bytes))
        var rows: [String] = []
        while let row = try source.next() {
            do { rows.append("\(row.line) \(try row.value().text)") } catch { rows.append("\(row.line) ! \(error)") }
        }
        return rows
    }
    func rows(_ name: String, _ text: String) throws -> [String] { try rows(name, Array(text.utf8)) }

    @Test func `lines are rows, blank ones are not, line ends may be Windows's`() throws {
        #expect(try rows("a.jsonl", "{\"a\":1}\r\n\n  \n{\"b\":2}") == ["1 {\"a\":1}", "4 {\"b\":2}"])
        #expect(try rows("b.jsonl", "\u{FEFF}{\"a\":1}\n") == ["1 {\"a\":1}"])
        #expect(try rows("c.jsonl", "") == [])
        #expect(try rows("d.jsonl", "\n\n") == [])
    }

    @Test func `a broken line doesn't harm the next`() throws {
        let rows = try rows("a.jsonl", Array("{\"a\":\n{\"b\":\"".utf8) + [0xFF] + Array("\"}\n{\"c\":3}\n".utf8))

        #expect(rows.count == 3)
        #expect(rows[0].hasPrefix("1 ! not valid JSON"))
        #expect(rows[1].hasPrefix("2 ! not valid JSON"))
        #expect(rows[2] == "3 {\"c\":3}")
    }

    @Test func `lines longer than the buffer are whole`() throws {
        let long = String(repeating: "x", count: 3 * FileReader.bufferSize + 7)
        let rows = try rows("a.jsonl", "{\"a\":\"\(long)\"}\n{\"b\":2}\n")

        #expect(rows == ["1 {\"a\":\"\(long)\"}", "2 {\"b\":2}"])
    }

    @Test func `an array's elements are rows, with the line where each begins`() throws {
        let text = """
            [
              {"a": "x, ]\\" ["},
              {"b": [1, {"c": "}"}]}
              , {"d": null}
            ]
            """
        #expect(
            try rows("a.json", text) == [
                "2 {\"a\":\"x, ]\\\" [\"}", "3 {\"b\":[1,{\"c\":\"}\"}]}", "4 {\"d\":null}",
            ])
        #expect(try rows("b.json", "[]") == [])
        #expect(try rows("c.json", " \n[1,2]") == ["2 1", "2 2"])
        #expect(try rows("d.json", "{\"a\":1}\n{\"b\":2}\n") == ["1 {\"a\":1}", "2 {\"b\":2}"])
    }

    @Test func `an array that breaks off is told`() throws {
        #expect(
            try rows("a.json", "[{\"a\":1}, {\"b\"").last
                == "1 ! the file ends inside this element of its JSON array")
        #expect(try rows("b.json", "[{\"a\":1},").last == "1 ! the file ends inside its JSON array")
    }

    @Test func `csv rows are objects of strings, with quotes, commas and line feeds inside`() throws {
        let text = "instruction,output\r\n\"say \"\"hi\"\", now\",ok\n\"two\nlines\",\"\"\n\nonly\n"
        #expect(
            try rows("a.csv", text) == [
                "2 {\"instruction\":\"say \\\"hi\\\", now\",\"output\":\"ok\"}",
                "3 {\"instruction\":\"two\\nlines\",\"output\":\"\"}",
                "6 ! the row has 1 fields and the header 2",
            ])
        #expect(try rows("a.tsv", "text\tx\na,b\tc\n") == ["2 {\"text\":\"a,b\",\"x\":\"c\"}"])
        #expect(
            try rows("b.csv", "input_ids,labels\n\"[1, 2]\",\"[-100, 2]\"\n")
                == ["2 {\"input_ids\":[1,2],\"labels\":[-100,2]}"])
    }

    @Test func `a text file's paragraphs are documents`() throws {
        #expect(
            try rows("a.txt", "\none\ntwo\r\n\n\nthree") == [
                "2 {\"text\":\"one\\ntwo\"}", "6 {\"text\":\"three\"}",
            ])
        #expect(try rows("b.txt", [0x61, 0xFF]) == ["1 ! the text is not valid UTF-8"])
    }

    @Test func `parquet and packed files are refused with the way out`() throws {
        for (name, advice) in [("a.parquet", "to_json"), ("a.arrow", "to_json"), ("a.jsonl.gz", "unpack")] {
            let path = try folder.file(name, "x")
            let error = #expect(throws: DatasetError.self) { _ = try RowSource(path: path) }
            #expect(error?.description.contains(advice) == true)
        }
    }

    @Test func `a file that isn't there says so`() {
        let error = #expect(throws: DatasetError.self) { _ = try RowSource(path: "\(folder.path)/none.jsonl") }
        #expect(error?.description.contains("No such file") == true)
    }

    @Test func `unknown keys are told with the known formats`() throws {
        let path = try folder.file("a.jsonl", "{\"question\": 1, \"answer\": 2}")
        let error = #expect(throws: DatasetError.self) { try DatasetReader.detection(of: DatasetFile(path: path)) }

        #expect(error == .undetectable(path: path, keys: ["question", "answer"]))
        #expect(error?.description.contains("`question`, `answer`") == true)
        #expect(error?.description.contains("messages, sharegpt, alpaca") == true)
    }

    @Test func `what follows an array is told, and a brace too many harms one element`() throws {
        #expect(
            try rows("a.json", "[{\"a\":1}]\n [2]\n") == [
                "1 {\"a\":1}", "2 ! text follows the file's JSON array; nothing of it is read",
            ])
        let rows = try rows("b.json", "[{\"a\":1}},\n{\"b\":2}]")
        #expect(rows.count == 2)
        #expect(rows[0].hasPrefix("1 ! not valid JSON"))
        #expect(rows[1] == "2 {\"b\":2}")
    }

    @Test func `a key that stands twice is a fault of its row`() throws {
        let rows = try rows("a.jsonl", "{\"a\":1,\"a\":2}\n{\"b\":2}")
        #expect(rows[0].contains("the key `a` stands twice"))
        #expect(rows[1] == "2 {\"b\":2}")
    }

    @Test func `a quote that never closes and a column named twice are told`() throws {
        #expect(try rows("a.csv", "a,b\n1,2\n3,\"x\n4,5\n").last == "3 ! a quote opens in this row and never closes")
        #expect(try rows("b.csv", "a,a\n1,2\n").first == "1 ! the header names the column `a` twice")
    }

    @Test func `the format is told by the first row that has one, and the others are faults`() throws {
        let path = try folder.file("a.jsonl", "{oops\n{\"x\":1}\n{\"text\":\"a\"}\n")
        let encoder = LetterEncoder()
        let maker = SampleMaker(encoder: encoder, template: nil, stage: .pt, vocabularyCount: encoder.vocabularyCount)
        var reader = try DatasetReader(file: DatasetFile(path: path), maker: maker)
        let rows = try reader.nextBatch()?.rows ?? []

        #expect(reader.detection.format == .text)
        #expect(rows.map(\.line) == [1, 2, 3])
        #expect(rows.map { $0.problem == nil } == [false, false, true])
    }

    @Test func `damaged files of every layout give rows or faults, and end`() throws {
        let files = [
            ("a.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"é\\u00e9\\ud83d\"}]}\r\n\n{\"text\":\"x\"}\n"),
            ("b.json", "\u{FEFF}[{\"a\":[1,{\"b\":\"],}\"}]},\n {\"c\":-1.5e3},\n[]]"),
            ("c.csv", "a,b\r\n\"x\"\"y\",\"1\n2\"\n,\n\"[1, 2]\",z\n"), ("d.tsv", "a\tb\n1\t2\n"),
            ("e.txt", "one\ntwo\n\n\nthree"),
        ]
        let random = Philox(seed: 7, purpose: .probe)
        var draw: UInt64 = 0
        func next(_ limit: Int) -> Int {
            draw += 1
            return min(limit - 1, Int(random.uniform(draw) * Double(limit)))
        }
        let spice: [UInt8] = Array("{}[]\",:\\\n\r\0\t 0eE+-".utf8) + [0xFF, 0xC0, 0xED, 0xA0, 0xF4, 0xEF, 0xBB, 0xBF]
        for (name, text) in files {
            for _ in 0..<150 {
                var bytes = Array(text.utf8)
                for _ in 0...next(4) {
                    let at = next(bytes.count)
                    switch next(4) {
                    case 0: bytes[at] = spice[next(spice.count)]
                    case 1: bytes.insert(spice[next(spice.count)], at: at)
                    case 2: bytes.removeSubrange(at..<min(bytes.count, at + 1 + next(6)))
                    default: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + next(12))], at: at)
                    }
                    if bytes.isEmpty { bytes = [0x5B] }
                }
                guard var source = try? RowSource(path: folder.file(name, bytes)) else { continue }
                var count = 0
                while let row = try source.next() {
                    count += 1
                    for format in RowFormat.allCases {
                        guard let value = try? row.value() else { break }
                        _ = try? RowParser.parse(value, as: format)
                    }
                    #expect(count <= bytes.count + 1)
                    if count > bytes.count + 1 { break }
                }
            }
        }
    }
}
