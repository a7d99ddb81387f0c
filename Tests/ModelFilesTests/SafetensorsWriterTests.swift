import Hashing
import Terms
import Testing

@testable import ModelFiles

@Suite struct SafetensorsWriterTests {
    let folder = TemporaryFolder()
    let tensors = [
        TensorDescription(name: "b.weight", shape: [2, 3]),
        TensorDescription(name: "B.weight", shape: [1]),
        TensorDescription(name: "a", shape: []),
        TensorDescription(name: "nothing", shape: [0]),
    ]
    let values: [Float] = [1, -2, 0.5, 3, 0x1p-130, 7]

    func write(_ tensors: [TensorDescription], storage: WeightStorage = .fp32) throws -> SafetensorsFile {
        let path = folder.file("w.safetensors")
        try values.withUnsafeBufferPointer { values throws(ModelFileError) in
            try SafetensorsWriter.write(to: path, tensors: tensors, storage: storage) { _ in values.baseAddress! }
        }
        return try SafetensorsFile(path: path)
    }

    @Test func `what was written is read back, in byte order of the names`() throws {
        let file = try write(tensors)

        #expect(file.header.entries.map(\.name) == ["B.weight", "a", "b.weight", "nothing"])
        #expect(file.header.entries.map(\.shape) == [[1], [], [2, 3], [0]])
        #expect(try file.floats(of: file.header.entries[2]) == values)
        #expect(file.header.metadata.map(\.key) == ["format"])
    }

    @Test func `the order of the call does not change the bytes`() throws {
        _ = try write(tensors)
        let first = folder.bytes(of: "w.safetensors")
        _ = try write(tensors.reversed())

        #expect(folder.bytes(of: "w.safetensors") == first)
    }

    @Test func `tensor data starts at a multiple of 64 bytes`() throws {
        for length in 1...70 {
            let name = String(repeating: "n", count: length)
            _ = try write([TensorDescription(name: name, shape: [1])])
            let bytes = folder.bytes(of: "w.safetensors")
            #expect(bytes.count % 64 == 4)
            #expect(bytes.suffix(4) == [0, 0, 0x80, 0x3F])
        }
    }

    @Test func `bf16 storage halves the file and rounds`() throws {
        let file = try write([TensorDescription(name: "x", shape: [6])], storage: .bf16)

        #expect(file.header.entries[0].type == .bf16)
        #expect(try file.floats(of: file.header.entries[0]) == values)
    }

    @Test func `nothing but the finished file is left behind`() throws {
        _ = try write(tensors)

        #expect(folder.names == ["w.safetensors"])
    }

    @Test func `a failing source leaves the old file and no rubbish`() throws {
        _ = try write(tensors)
        let before = folder.bytes(of: "w.safetensors")
        let failure = ModelFileError.missingFile(path: "x", advice: "y")

        #expect(throws: failure) {
            try SafetensorsWriter.write(to: folder.file("w.safetensors"), tensors: tensors) {
                _ throws(ModelFileError) in throw failure
            }
        }

        #expect(folder.bytes(of: "w.safetensors") == before)
        #expect(folder.names == ["w.safetensors"])
    }

    @Test func `a folder that is missing is named`() {
        let path = folder.file("absent/w.safetensors")

        #expect(throws: ModelFileError.system(path: path, operation: "create", code: 2)) {
            try SafetensorsWriter.write(to: path, tensors: []) { _ in preconditionFailure("Nothing to ask for.") }
        }
    }

    @Test func `a second writer of the same file is refused`() throws {
        let path = folder.file("w.safetensors")
        let first = try AtomicFile(path: path)

        #expect(throws: ModelFileError.self) { _ = try AtomicFile(path: path) }

        withExtendedLifetime(first) {}
    }

    @Test func `the model digest is that of names, zero bytes and values in name order`() throws {
        let file = try write(Array(tensors[0...1]))
        var hasher = SHA256Hasher()
        hasher.update(Array("B.weight\0".utf8) + [0, 0, 0x80, 0x3F])
        hasher.update(Array("b.weight\0".utf8))
        values.withUnsafeBytes { hasher.update($0) }

        let inMemory = try values.withUnsafeBufferPointer { values throws(ModelFileError) in
            try ModelDigest.of(Array(tensors[0...1])) { _ in values.baseAddress! }
        }

        #expect(inMemory == hasher.finish())
        #expect(try ModelDigest.of(file) == hasher.finish())
    }
}
