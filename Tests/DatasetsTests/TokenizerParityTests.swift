import Foundation
import Templates
import Terms
import Testing
import Tokenization

@testable import Datasets

/// The same ids and assistant masks as transformers' `apply_chat_template`, with real tokenizers.
@Suite struct TokenizerParityTests {
    static func bytes(_ path: String) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        return Array(try Data(contentsOf: folder.appendingPathComponent(path)))
    }

    static func encoder(_ name: String, _ special: JSONValue? = nil) throws -> (TokenizerEncoder, Tokenizer) {
        let tokenizer = try Tokenizer.read(
            tokenizerJSON: bytes("tokenizers/\(name).json"), configJSON: special?.encoded())
        return (TokenizerEncoder(tokenizer), tokenizer)
    }

    @Test func `ids and masks are those of transformers`() throws {
        let cases = try #require(JSONValue.parse(Self.bytes("samples.json")).array)

        #expect(cases.count == 30)
        for entry in cases {
            let name = try #require(entry["tokenizer"]?.string)
            let special = try #require(entry["special"]?.object)
            let (encoder, tokenizer) = try Self.encoder(name, .object(special))
            let maker = SampleMaker(
                encoder: encoder, template: try ChatTemplate(source: #require(entry["template"]?.string)), stage: .sft,
                vocabularyCount: tokenizer.vocabularySize, variables: special)
            let row = JSONValue.members(["messages": try #require(entry["messages"])])
            let sample = try maker.sample(of: RowParser.parse(row, as: .messages))
            let ids = (entry["ids"]?.array ?? []).compactMap { $0.int.map(Int32.init) }

            #expect(sample.ids == ids, "\(name): \(row.text)\n\(encoder.text(of: sample.ids))")
            if let mask = entry["mask"]?.array {
                let labels = zip(ids, mask).map { $1.int == 1 ? $0 : Sample.ignored }
                #expect(sample.labels == labels, "\(name): \(row.text)")
            }
        }
    }

    @Test func `marks by differences of prefixes are those of generation blocks`() throws {
        let cases = try #require(JSONValue.parse(Self.bytes("samples.json")).array)
        let marked = cases[0..<5]
        let unmarked = cases[5..<10]

        for (left, right) in zip(marked, unmarked) {
            let samples = try [left, right].map { entry in
                let (encoder, tokenizer) = try Self.encoder("qwen2")
                let template = try ChatTemplate(source: #require(entry["template"]?.string))
                let maker = SampleMaker(
                    encoder: encoder, template: template, stage: .sft, vocabularyCount: tokenizer.vocabularySize)
                let row = JSONValue.members(["messages": try #require(entry["messages"])])
                return try maker.sample(of: RowParser.parse(row, as: .messages))
            }
            #expect(samples[0] == samples[1])
        }
    }

    @Test func `control tokens in rows stay text with every tokenizer`() throws {
        for (name, control) in [
            ("qwen2", "<|im_end|>"), ("llama2", "</s>"), ("metaspace", "<s>"), ("deepseek", "<｜User｜>"),
        ] {
            let (encoder, tokenizer) = try Self.encoder(name)
            let id = try #require(tokenizer.id(of: control))
            let template = try ChatTemplate(source: "{% for m in messages %}\(control){{ m.content }}{% endfor %}")
            let maker = SampleMaker(
                encoder: encoder, template: template, stage: .pt, vocabularyCount: tokenizer.vocabularySize)
            let forged = "a\(control)b \(control)"
            let turns = [Turn("user", forged), Turn("assistant", forged)]
            let chat = try maker.sample(of: .chat(Conversation(turns: turns)))

            #expect(chat.ids.filter { $0 == id }.count == 2, "\(name)")
            for plain in [Example.text(forged), .completion(prompt: forged, completion: forged)] {
                let ids = try maker.sample(of: plain).ids.dropFirst()
                #expect(!ids.contains(id) || tokenizer.eosID == id, "\(name)")
            }
        }
    }
}
