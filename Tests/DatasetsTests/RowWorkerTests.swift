import Templates
import Terms
import Testing
import Tokenization

@testable import Datasets

/// Rows that are read in place give what `RowParser` and `SampleMaker` make of their values.
@Suite struct RowWorkerTests {
    let encoder = LetterEncoder(["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|begin_of_text|>", "<|eos|>"])

    func maker(_ template: String, stage: Stage = .sft, _ encoder: (any TextEncoder)? = nil) throws -> SampleMaker {
        SampleMaker(
            encoder: encoder ?? self.encoder, template: try ChatTemplate(builtIn: template), stage: stage,
            vocabularyCount: self.encoder.vocabularyCount)
    }

    /// Both ways of one row, as text.
    func both(_ row: [UInt8], _ worker: RowWorker) -> (inPlace: String, byValue: String) {
        let batch = SampleBatch()
        batch.source.append(RawRow(line: 1, content: .json(row)))
        worker.fill(batch)
        let made = batch.rows[0]
        let inPlace =
            made.problem?.description
            ?? "\(batch.sample(of: made).ids) \(batch.sample(of: made).labels) \(made.trainedTokens)"
        do throws(RowProblem) {
            let value = try RawRow(line: 1, content: .json(row)).value()
            let sample = try worker.maker.sample(of: RowParser.parse(value, as: worker.format))
            return (inPlace, "\(sample.ids) \(sample.labels) \(sample.trainedTokens)")
        } catch { return (inPlace, error.description) }
    }

    static let chats: [String] = [
        #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}"#,
        #" {"id":[1,{"x":null}],"messages":[{"content":" hi\n","role":"user"},{"role":"assistant","content":"a<b"}]} "#,
        #"{"messages":[{"role":"system","content":""},{"role":"user","content":"\u00e9\ud83d\ude00\ud83d \/\"\\\b"},"#
            + #"{"role":"assistant","content":"<think>x</think>\n\ny"},{"role":"user","content":"é"},"#
            + #"{"role":"assistant","content":"<|im_end|>\n<|im_start|>user","name":"z"}]}"#,
        #"{"messages":[{"role":"user","content":"a","weight":0},{"role":"assistant","content":"b","weight":0}]}"#,
        #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0},"#
            + #"{"role":"user","content":"c","train":false},{"role":"assistant","content":"d","loss_weight":1}]}"#,
        #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","train":true,"weight":1.0},"#
            + #"{"role":"assistant","content":"e","train":false,"id":"","thinking":"t"}]}"#,
        #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","reasoning_content":"t","content":"b"}]}"#,
        #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[]}],"tools":""}"#,
        #"{"messages":[{"role":"assistant","content":[{"type":"text","text":"t"}]}]}"#,
        #"{"messages":[{"role":"robot","content":"a"}]}"#, #"{"messages":[]}"#, #"{"messages":[{"role":"user"}]}"#,
        #"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a "}],"system":"s"}"#,
        #"{"conversations":[{"from":"system","value":"s"},{"from":"user","value":""},{"from":"gpt","value":""}]}"#,
        #"{"conversations":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"tools":null}"#,
        #"{"conversations":[{"from":"human","value":"q"},{"from":"observation","value":"a"}],"system":""}"#,
        #"{"instruction":"do","input":"this\n","output":"done","history":[],"system":"s"}"#,
        #"{"instruction":"","input":"this","output":"","history":[["q","a"]]}"#,
        #"{"instruction":"do","input":"","output":"done","history":""}"#, #"{"instruction":"do","output":3}"#,
        #"{"text":"one <|eos|>"}"#, #"{"text":""}"#, #"{"prompt":"p","completion":"c"}"#,
        #"{"prompt":"","completion":"c"}"#, #"{"prompt":[{"role":"user","content":"p"}],"completion":[]}"#,
        #"{"input_ids":[1,2,3],"labels":[-100,2,3]}"#, #"{"input_ids":[5],"labels":null}"#,
        #"{"input_ids":[1,2],"labels":[1]}"#, #"{"input_ids":[1,-2]}"#, #"{"input_ids":[1.0,2e0,99999999]}"#,
        #"{"text":"a","text":"b"}"#, #"{"text":"\u12"}"#, #"[{"text":"a"}]"#, "{", "",
    ]

    @Test(arguments: ["chatml", "qwen3", "llama3", "glm4", "alpaca", "plain", "ernie4_5"])
    func `rows of all shapes and formats, whole and damaged`(template: String) throws {
        let random = Philox(seed: 11, purpose: .probe)
        var draw: UInt64 = 0
        func next(_ limit: Int) -> Int {
            draw += 1
            return min(limit - 1, Int(random.uniform(draw) * Double(limit)))
        }
        let spice: [UInt8] = Array("{}[]\",:\\\n \0u0eE+-<>".utf8) + [0xFF, 0xC3, 0xED, 0xA0, 0xF4]
        for (format, stage) in RowFormat.allCases.flatMap({ [($0, Stage.sft), ($0, .pt)] }) {
            let worker = RowWorker(format: format, columns: .usual, maker: try maker(template, stage: stage))
            for chat in Self.chats {
                for round in 0..<6 {
                    var row = Array(chat.utf8)
                    for _ in 0..<round where !row.isEmpty {
                        let at = next(row.count)
                        switch next(3) {
                        case 0: row[at] = spice[next(spice.count)]
                        case 1: row.insert(spice[next(spice.count)], at: at)
                        default: row.remove(at: at)
                        }
                    }
                    let (inPlace, byValue) = both(row, worker)
                    #expect(inPlace == byValue, "\(format) \(stage): \(String(decoding: row, as: UTF8.self))")
                }
            }
        }
    }

    @Test func `answers that are not trained on, and thoughts, are part of a shape`() throws {
        let worker = RowWorker(format: .messages, columns: .usual, maker: try maker("chatml"))
        let row =
            #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0},"#
            + #"{"role":"user","content":"c"},{"role":"assistant","content":"d","thinking":"t","train":true}]}"#
        let (inPlace, byValue) = both(Array(row.utf8), worker)

        #expect(inPlace == byValue && worker.shape.count { $0 == Shape.untrained } == 1)
        #expect(worker.texts.count == 5 && worker.plans.plan(worker.shape, worker.maker, { nil }) != nil)
    }

    @Test func `with a real tokenizer pieces are encoded behind what stands before them`() throws {
        for name in ["qwen2", "llama2"] {
            guard let (real, tokenizer) = try? TokenizerParityTests.encoder(name) else { continue }
            let maker = SampleMaker(
                encoder: real, template: try ChatTemplate(builtIn: "plain"), stage: .sft,
                vocabularyCount: tokenizer.vocabularySize)
            for format in RowFormat.allCases {
                let worker = RowWorker(format: format, columns: .usual, maker: maker)
                for row in Self.chats {
                    let (inPlace, byValue) = both(Array(row.utf8), worker)
                    #expect(inPlace == byValue, "\(name) \(format): \(row)")
                }
            }
        }
    }

    @Test func `a template that only writes texts has one plan a shape, one that looks into them none`() throws {
        let shape = Conversation(turns: [Turn("user", "0"), Turn("assistant", "1")])
        #expect(ChatPlan(shape, try maker("chatml"), .any)?.steps.count == 9)
        #expect(ChatPlan(shape, try maker("qwen3"), .any) == nil)
        #expect(ChatPlan(shape, try maker("qwen3"), .plain) != nil)
        #expect(ChatPlan(shape, try maker("llama3"), .plain) != nil)
        for reading in ["m.content | upper", "m.content[0]", "m.content == 'x'", "m.content.split('a')[0]"] {
            let source = "{% for m in messages %}{{ \(reading) }}{% endfor %}"
            let maker = SampleMaker(
                encoder: encoder, template: try ChatTemplate(source: source), stage: .pt,
                vocabularyCount: encoder.vocabularyCount)
            #expect(ChatPlan(shape, maker, .plain) == nil, "\(reading)")
        }
    }

    @Test func `a tape holds the values of the text`() throws {
        let text = #"{"a": [1, -2.5e3, true, null, "x\u00e9\n", {}], "b": {"c": "ü", "": []}}"#
        var tape = JSONTape()
        let row = Array(text.utf8)
        row.withUnsafeBufferPointer { row in
            let isRead = tape.read(row)
            #expect(isRead)
            let value = Self.value(tape, 0)
            #expect(value == (try? JSONValue.parse(text)))
        }
    }

    private static func value(_ tape: borrowing JSONTape, _ at: Int) -> JSONValue {
        let node = tape.nodes[at]
        let text = String(decoding: node.bytes, as: UTF8.self)
        switch node.kind {
        case .null: return .null
        case .bool: return .bool(text == "true")
        case .number: return .number(JSONNumber(text: text))
        case .string: return .string(text)
        case .array, .object:
            var values: [JSONValue] = []
            var keys: [String] = []
            var child = at + 1
            while child < node.next {
                if node.kind == .object {
                    keys.append(String(decoding: tape.nodes[child].bytes, as: UTF8.self))
                    child += 1
                }
                values.append(value(tape, child))
                child = tape.nodes[child].next
            }
            return node.kind == .array ? .array(values) : .object(JSONObject(Array(zip(keys, values))))
        }
    }
}
