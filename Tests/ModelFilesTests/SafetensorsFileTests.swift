import Testing

@testable import ModelFiles

@Suite struct SafetensorsFileTests {
    let folder = TemporaryFolder()

    func open(_ bytes: [UInt8]) throws(ModelFileError) -> SafetensorsFile {
        try SafetensorsFile(path: folder.write(bytes, to: "t.safetensors"))
    }

    @Test func `three formats are read as fp32`() throws {
        let header = """
            {"__metadata__":{"format":"pt"},
             "b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},
             "h":{"dtype":"F16","shape":[1,4],"data_offsets":[12,20]},
             "f":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}
            """
        let data: [UInt8] =
            [0x00, 0x00, 0xC0, 0x3F, 0x00, 0x00, 0x00, 0xC0]  // 1.5, -2
            + [0x80, 0x3F, 0x28, 0xC2]  // 1, -42
            + [0x01, 0x00, 0xFF, 0x7B, 0x00, 0xFC, 0x00, 0x80]  // 2^-24, 65504, -infinity, -0

        let file = try open(safetensors(header, data: data))

        #expect(file.header.entries.map(\.name) == ["f", "b", "h"])
        #expect(file.header.metadata.first?.value == "pt")
        #expect(try file.floats(of: try #require(file["f"])) == [1.5, -2])
        #expect(try file.floats(of: try #require(file["b"])) == [1, -42])
        let halves = try file.floats(of: try #require(file["h"]))
        #expect(halves == [0x1p-24, 65504, -.infinity, 0])
        #expect(halves[3].sign == .minus)
        #expect(file["h"]?.shape == [1, 4])
        #expect(file["absent"] == nil)
    }

    @Test func `an empty tensor, a scalar and a file without tensors are valid`() throws {
        let header = """
            {"none":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},
             "one":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}
            """

        let file = try open(safetensors(header, data: [0, 0, 0x80, 0x3F]))
        let empty = try open(safetensors("{}"))

        #expect(try file.floats(of: try #require(file["none"])) == [])
        #expect(try file.floats(of: try #require(file["one"])) == [1])
        #expect(empty.header.entries.isEmpty)
    }

    @Test func `integers may stand in a file but are not read as weights`() throws {
        let file = try open(safetensors(#"{"mask":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, data: [1, 0]))
        let entry = try #require(file["mask"])

        #expect(throws: ModelFileError.unsupportedType(path: file.path, tensor: "mask", type: "U8")) {
            try file.floats(of: entry)
        }
    }

    @Test func `a missing file is named with what to do`() {
        let path = folder.file("absent.safetensors")

        #expect(throws: ModelFileError.missingFile(path: path, advice: "check the path")) {
            try SafetensorsFile(path: path)
        }
    }

    @Test func `a folder in place of a file is refused`() {
        #expect(throws: ModelFileError.self) { try SafetensorsFile(path: folder.path) }
    }

    @Test func `every F16 value widens as the hardware type does`() {
        #if arch(x86_64) || arch(arm64)
            let wrong = (UInt16.min...UInt16.max).filter { bits in
                let expected = Float(Float16(bitPattern: bits))
                let found = Widening.f16(bits)
                return found.isNaN != expected.isNaN || !found.isNaN && found.bitPattern != expected.bitPattern
            }
            #expect(wrong.isEmpty)
        #endif
    }

    @Test func `narrowing to bfloat16 rounds to nearest even`() {
        #expect(Widening.bf16(1) == 0x3F80)
        #expect(Widening.bf16(Float(bitPattern: 0x3F80_8000)) == 0x3F80)
        #expect(Widening.bf16(Float(bitPattern: 0x3F81_8000)) == 0x3F82)
        #expect(Widening.bf16(Float(bitPattern: 0x3F80_8001)) == 0x3F81)
        #expect(Widening.bf16(Float(bitPattern: 0x7F7F_FFFF)) == 0x7F80)
        #expect(Widening.bf16(Float(bitPattern: 0x7F80_0001)) & 0x7FFF > 0x7F80)
    }
}
