import Hashing
import Models
import Terms
import Testing

@testable import ModelFiles

@Suite struct ModelDirectoryWriterTests {
    let folder = TemporaryFolder()
    let source = TemporaryFolder()

    func write(_ storage: WeightStorage, companions: String? = nil) throws {
        let configuration = try TinyModel.configuration(TinyModel.qwen3)
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: 256)
        defer { scratch.deallocate() }
        try ModelDirectoryWriter.write(
            to: folder.file("out"), configuration: configuration, companions: companions, storage: storage
        ) { tensor in
            for index in 0..<tensor.count { scratch[index] = TinyModel.value(tensor.name, index) }
            return UnsafePointer(scratch)
        }
    }

    @Test(arguments: [WeightStorage.fp32, .bf16]) func `what was written opens again`(storage: WeightStorage) throws {
        try write(storage)

        let model = try ModelDirectory(path: folder.file("out"))
        let weights = try model.loadWeights()

        for tensor in model.table.tensors {
            #expect(weights.table.floats(tensor.name) == TinyModel.values(tensor.name, tensor.count))
        }
        #expect(model.configuration.original["torch_dtype"]?.string == storage.torchName)
        #expect(model.configuration.original["eos_token_id"]?.int == 5)
    }

    @Test func `the digest of the files is that of the tensors in memory`() throws {
        try write(.fp32)
        let model = try ModelDirectory(path: folder.file("out"))
        let weights = try model.loadWeights()

        let inMemory = try ModelDigest.of(TinyModel.tensors(model.configuration)) { tensor in
            weights.table[tensor.name]!.pointer
        }

        #expect(try model.digest() == inMemory)
        #expect(try ModelDigest.of(try SafetensorsFile(path: folder.file("out/model.safetensors"))) == inMemory)
    }

    @Test func `tokenizer, template and generation settings come along`() throws {
        for name in ["tokenizer.json", "chat_template.jinja", "generation_config.json"] { source.write("{}", to: name) }
        source.write("not ours", to: "notes.txt")

        try write(.fp32, companions: source.path)

        let out = try ModelDirectory(path: folder.file("out"))
        #expect(
            out.fileNames == [
                "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
            ])
        #expect(!Disk.hasFile(folder.file("out/notes.txt")))
    }

    @Test func `a directory can be written over in place`() throws {
        try write(.bf16)
        try write(.fp32, companions: folder.file("out"))

        #expect(try ModelDirectory(path: folder.file("out")).configuration.original["torch_dtype"]?.string == "float32")
    }

    @Test func `a directory with an index of shards is left alone`() throws {
        try Disk.createFolder(folder.file("out"))
        try Disk.write([], to: folder.file("out/" + WeightFiles.index))

        #expect(throws: ModelFileError.occupied(path: folder.file("out"), file: WeightFiles.index)) { try write(.fp32) }
    }

    @Test func `an interrupted directory does not open`() throws {
        try write(.fp32)
        let failure = ModelFileError.missingFile(path: "x", advice: "y")
        let configuration = try TinyModel.configuration(TinyModel.qwen3)

        #expect(throws: failure) {
            try ModelDirectoryWriter.write(to: folder.file("out"), configuration: configuration) {
                _ throws(ModelFileError) in throw failure
            }
        }

        #expect(throws: ModelFileError.self) { try ModelDirectory(path: folder.file("out")) }
    }

    @Test func `file digests, copies and folders`() throws {
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 3) }
        try Disk.createFolder(folder.file("a/b/c"))
        folder.write(bytes, to: "a/b/c/big")

        try Disk.copy(folder.file("a/b/c/big"), to: folder.file("copy"))

        #expect(folder.bytes(of: "copy") == bytes)
        #expect(try Disk.digest(ofFile: folder.file("copy")) == Digest.sha256(of: bytes))
        #expect(throws: ModelFileError.self) { try Disk.read(folder.file("copy"), limit: 100) }
    }
}
