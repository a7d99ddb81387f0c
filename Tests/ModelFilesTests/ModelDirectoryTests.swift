import Foundation
import Hashing
import Kernels
import Models
import Terms
import Testing

@testable import ModelFiles

@Suite struct ModelDirectoryTests {
    let folder = TemporaryFolder()
    let embedding = "model.embed_tokens.weight"

    func refusal() -> ModelFileError? {
        do throws(ModelFileError) {
            _ = try ModelDirectory(path: folder.path)
            return nil
        } catch { return error }
    }

    @Test func `every tensor is loaded under its name`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)

        let model = try ModelDirectory(path: folder.path)
        let weights = try model.loadWeights()

        for tensor in model.table.tensors {
            #expect(weights.table.floats(tensor.name) == TinyModel.values(tensor.name, tensor.count))
            #expect(UInt(bitPattern: weights.table[tensor.name]?.pointer) % 64 == 0)
        }
        #expect(model.endTokens == [5])
        #expect(model.fileNames == ["config.json", "model.safetensors"])
    }

    @Test func `weights can be loaded to places of the caller's choice`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        let model = try ModelDirectory(path: folder.path)
        let layout = ParameterLayout(full: model.table)
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: layout.count)
        defer { memory.deallocate() }

        try model.loadWeights { tensor in memory + (layout[tensor.name]?.offset ?? 0) }

        let last = try #require(layout.entries.last)
        #expect(memory[layout.count - 1] == TinyModel.value(last.name, last.count - 1))
        #expect(memory[0] == TinyModel.value(layout.entries[0].name, 0))
    }

    @Test func `frozen weights may stay in their file, and it is found out when somebody writes to it`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        let name = "model.safetensors"
        let old = Data(folder.bytes(of: name))
        let model = try ModelDirectory(path: folder.path)
        let digest = Digest.sha256(of: [UInt8](old))

        let weights = try model.loadWeights(for: .fp32, inPlace: [(name, digest)])
        let copied = try model.loadWeights(for: .fp32)
        let half = try model.loadWeights(for: .bf16, inPlace: [(name, digest)])

        for tensor in model.table.tensors {
            #expect(weights.table.floats(tensor.name) == TinyModel.values(tensor.name, tensor.count))
        }
        #expect(weights.changedFile() == nil && copied.changedFile() == nil && half.changedFile() == nil)

        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file(name)))
        try handle.seek(toOffset: UInt64(old.count - 4))
        try handle.write(contentsOf: Data([1, 2, 3, 4]))
        #expect(weights.changedFile() != nil && copied.changedFile() == nil && half.changedFile() != nil)
        // The last tensor of the file is read where it lies.
        #expect(model.table.tensors.contains { weights.table.floats($0.name) != TinyModel.values($0.name, $0.count) })

        try handle.seek(toOffset: UInt64(old.count - 4))
        try handle.write(contentsOf: old.suffix(4))
        // It may have been anything in between; from here on it is what it was.
        #expect(weights.changedFile() != nil)
        #expect(weights.changedFile() == nil)
    }

    @Test func `frozen weights of a file that somebody shortens read as zeros, until it is whole again`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        let name = "model.safetensors"
        let old = Data(folder.bytes(of: name))
        let model = try ModelDirectory(path: folder.path)
        let weights = try model.loadWeights(for: .fp32, inPlace: [(name, Digest.sha256(of: [UInt8](old)))])
        func wrongTensors() -> Int {
            model.table.tensors.count { weights.table.floats($0.name) != TinyModel.values($0.name, $0.count) }
        }

        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file(name)))
        try handle.truncate(atOffset: 4096)
        #expect(wrongTensors() > 0)
        #expect(weights.changedFile() == folder.file(name))
        #expect(weights.changedFile() != nil)

        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: old)
        #expect(weights.changedFile() != nil)
        #expect(weights.changedFile() == nil && wrongTensors() == 0)
    }

    @Test(arguments: [4096, 4]) func `weights of a file that became shorter since it was opened are refused`(
        missing: Int
    ) throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        let name = "model.safetensors"
        let size = folder.bytes(of: name).count
        let model = try ModelDirectory(path: folder.path)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file(name)))
        try handle.truncate(atOffset: UInt64(size - missing))

        let error = ModelFileError.shortened(path: folder.file(name))
        for arithmetic in [Arithmetic.fp32, .bf16] {
            #expect(throws: error) { try model.loadWeights(for: arithmetic) }
        }
        #expect(throws: error) { try model.digest() }
    }

    @Test func `frozen weights stay in a file of bf16 where that is how they are kept`() throws {
        folder.write(TinyModel.qwen3, to: "config.json")
        let tensors = TinyModel.tensors(try TinyModel.configuration(TinyModel.qwen3))
        try TinyModel.write(tensors, to: folder.file("model.safetensors"), storage: .bf16)
        let model = try ModelDirectory(path: folder.path)
        let digest = Digest.sha256(of: folder.bytes(of: "model.safetensors"))

        let weights = try model.loadWeights(for: .bf16, inPlace: [("model.safetensors", digest)])
        let wide = try model.loadWeights(for: .fp32, inPlace: [("model.safetensors", digest)])

        for tensor in model.table.tensors {
            let values = TinyModel.values(tensor.name, tensor.count)
            #expect(wide.table.floats(tensor.name) == values)
            guard case .bf16(let halves)? = weights.table[tensor.name]?.matrix.memory else {
                #expect(!tensor.mayBeBF16 && weights.table.floats(tensor.name) == values)
                continue
            }
            #expect((0..<tensor.count).map { Float(bitPattern: UInt32(halves[$0]) << 16) } == values)
        }
        // What was widened is a copy.
        folder.write("", to: "model.safetensors")
        #expect(wide.changedFile() == nil)
    }

    @Test func `shards with an index load like one file`() throws {
        let configuration = try TinyModel.configuration(TinyModel.qwen3)
        let tensors = TinyModel.tensors(configuration)
        folder.write(TinyModel.qwen3, to: "config.json")
        var map: [String] = []
        for shard in 0..<3 {
            let name = "model-0000\(shard + 1)-of-00003.safetensors"
            let part = tensors.enumerated().filter { $0.offset % 3 == shard }.map(\.element)
            try TinyModel.write(part, to: folder.file(name))
            map += part.map { "\"\($0.name)\":\"\(name)\"" }
        }
        let index = #"{"metadata":{"total_size":1},"weight_map":{"# + map.joined(separator: ",") + "}}"
        folder.write(index, to: WeightFiles.index)

        let model = try ModelDirectory(path: folder.path)

        let weights = try model.loadWeights()
        for tensor in tensors {
            #expect(weights.table.floats(tensor.name) == TinyModel.values(tensor.name, tensor.count))
        }
        #expect(model.fileNames.count == 5)
    }

    static let badIndexes: [(json: String, part: String)] = [
        ("{}", "no object `weight_map`"),
        (#"{"weight_map":{"a":"../x.safetensors"}}"#, "not placed in"),
        (#"{"weight_map":{"a":"/etc/x.safetensors"}}"#, "not placed in"),
        (#"{"weight_map":{"a":"x.bin"}}"#, "not placed in"),
        (#"{"weight_map":{"a":7}}"#, "not placed in"),
        (#"{"weight_map":{"a":"x.safetensors"}}"#, "finish the download"),
        (#"{"weight_map":{"a":"there.safetensors"}}"#, "does not hold it"),
        (#"{"weight_map":"#, "not a valid safetensors index"),
    ]

    @Test(arguments: badIndexes) func `an index that lies is refused`(json: String, part: String) throws {
        folder.write(TinyModel.qwen3, to: "config.json")
        folder.write(safetensors("{}"), to: "there.safetensors")
        folder.write(json, to: WeightFiles.index)

        #expect(refusal()?.description.contains(part) == true)
    }

    @Test func `two shards with the same tensor are refused`() throws {
        folder.write(TinyModel.qwen3, to: "config.json")
        let tensor = TensorDescription(name: "a", shape: [1])
        try TinyModel.write([tensor], to: folder.file("1.safetensors"))
        try TinyModel.write([tensor, TensorDescription(name: "b", shape: [1])], to: folder.file("2.safetensors"))
        folder.write(#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#, to: WeightFiles.index)

        #expect(refusal()?.description.contains("also stands in another file") == true)
    }

    @Test func `missing, unexpected and misshapen tensors are named before any work`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder) { $0.filter { $0.name != "model.norm.weight" } }
        #expect(refusal() == .model(path: folder.path, .missingTensors(["model.norm.weight"])))

        try TinyModel.write(TinyModel.qwen3, in: folder) { $0 + [TensorDescription(name: "model.extra", shape: [1])] }
        #expect(refusal() == .model(path: folder.path, .unexpectedTensors(["model.extra"])))

        try TinyModel.write(TinyModel.qwen3, in: folder) {
            $0.map { $0.name == "model.norm.weight" ? TensorDescription(name: $0.name, shape: [2, 4]) : $0 }
        }
        let error = ModelError.shapeMismatch(name: "model.norm.weight", expected: [8], found: [2, 4])
        #expect(refusal() == .model(path: folder.path, error))
    }

    @Test func `weights that are stored as integers are refused`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        let bytes = folder.bytes(of: "model.safetensors")
        let text = String(decoding: bytes[8..<200], as: UTF8.self)
        let changed = text.replacing("F32", with: "I32", maxReplacements: 1)
        folder.write(Array(bytes[..<8]) + Array(changed.utf8) + Array(bytes[200...]), to: "model.safetensors")

        guard case .unsupportedType(_, _, "I32") = refusal() else {
            Issue.record("\(String(describing: refusal()))")
            return
        }
    }

    @Test func `a stored copy of a tied head must be the embedding`() throws {
        let head = TensorDescription(name: "lm_head.weight", shape: [11, 8])
        try TinyModel.write(TinyModel.qwen3, in: folder) { $0 + [head] }
        #expect(
            refusal()
                == .headsDiffer(
                    path: folder.file("model.safetensors"), tensor: "lm_head.weight", source: embedding))

        let tensors = TinyModel.tensors(try TinyModel.configuration(TinyModel.qwen3)) + [head]
        let same = [Float](repeating: 0.25, count: 8 * 12)
        try same.withUnsafeBufferPointer { same throws(ModelFileError) in
            try SafetensorsWriter.write(to: folder.file("model.safetensors"), tensors: tensors) { _ in
                same.baseAddress!
            }
        }
        #expect(refusal() == nil)
    }

    @Test func `GPT-2 in its original naming loads, stored masks are passed over`() throws {
        try TinyModel.write(TinyModel.gpt2, in: folder) { tensors in
            tensors.map { TensorDescription(name: String($0.name.dropFirst("transformer.".count)), shape: $0.shape) }
                + [TensorDescription(name: "h.0.attn.bias", shape: [1, 1, 16, 16])]
        }

        let model = try ModelDirectory(path: folder.path)
        let weights = try model.loadWeights()

        #expect(weights.table.floats("transformer.wte.weight") == TinyModel.values("wte.weight", 88))
        #expect(model.endTokens == [3, 4])
    }

    @Test func `what is missing is named with what to do`() throws {
        #expect(throws: ModelFileError.self) { try ModelDirectory(path: folder.file("absent")) }
        #expect(refusal()?.description.hasSuffix("needs a config.json") == true)
        folder.write("{", to: "config.json")
        #expect(refusal()?.description.contains("not a valid JSON file") == true)
        folder.write(#"{"model_type":"mixtral"}"#, to: "config.json")
        #expect(refusal() == .model(path: folder.path, .mixtureOfExperts("mixtral")))
        folder.write(TinyModel.qwen3, to: "config.json")
        folder.write("", to: "pytorch_model.bin")
        #expect(refusal()?.description.contains("must be converted first") == true)
    }

    @Test func `generation_config rules the end tokens`() throws {
        try TinyModel.write(TinyModel.qwen3, in: folder)
        folder.write(#"{"eos_token_id":[7,8]}"#, to: "generation_config.json")

        let model = try ModelDirectory(path: folder.path)

        #expect(model.endTokens == [7, 8])
        #expect(model.fileNames == ["config.json", "generation_config.json", "model.safetensors"])
    }

    @Test func `tokenizer files that are there are listed`() {
        folder.write("{}", to: "tokenizer.json")
        folder.write("x", to: "chat_template.jinja")

        let files = TokenizerFiles(directory: folder.path)

        #expect(files.names == ["tokenizer.json", "chat_template.jinja"])
        #expect(files.tokenizer == folder.file("tokenizer.json"))
        #expect(files.chatTemplate == folder.file("chat_template.jinja"))
        #expect(files.sentencePiece == nil)
    }
}
