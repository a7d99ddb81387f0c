import ModelFiles
import Testing

/// The header entry of an F32 tensor.
private func f32(_ name: String, _ shape: String, _ offsets: String) -> String {
    #""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":\#(offsets)}"#
}

private func object(_ members: String...) -> String { "{" + members.joined(separator: ",") + "}" }

/// A hostile file and a part of the sentence that must refuse it.
struct HostileFile: Sendable, CustomTestStringConvertible {
    let bytes: [UInt8]
    let part: String

    init(_ bytes: [UInt8], _ part: String) {
        self.bytes = bytes
        self.part = part
    }

    init(_ header: String, data: Int, _ part: String) {
        self.init(safetensors(header, data: [UInt8](repeating: 0, count: data)), part)
    }

    var testDescription: String { "\(bytes.count) bytes: \(part)" }
}

/// Every case of a header that lies: refused with one sentence that names the fault, never a trap.
@Suite struct HostileSafetensorsTests {
    let folder = TemporaryFolder()

    /// The problem in the refusal of `bytes`, or nil when they are accepted.
    func problem(_ bytes: [UInt8]) -> String? {
        do throws(ModelFileError) {
            _ = try SafetensorsFile(path: folder.write(bytes, to: "t.safetensors"))
            return nil
        } catch {
            guard case .malformed(_, .safetensors, let problem) = error else { return "another error: \(error)" }
            return problem
        }
    }

    static func length(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    static let wholeFiles: [HostileFile] = [
        .init([], "0 bytes"),
        .init([1, 2, 3], "3 bytes"),
        .init(length(.max), "more than 16 MiB"),
        .init(length(1 << 63), "more than 16 MiB"),
        .init(length(16 << 20 + 1), "more than 16 MiB"),
        .init(length(3) + [0x7B, 0x7D], "2 left"),
        .init(length(2) + [0x7B], "1 left"),
        .init(length(0), "not a JSON object"),
        .init(safetensors("[]"), "not a JSON object"),
        .init(safetensors("{"), "not valid JSON at byte 1"),
        .init(safetensors("{}x"), "not valid JSON at byte 2"),
        .init(safetensors("{} {}"), "not valid JSON at byte 3"),
        .init(safetensors(#"{"a""#), "not valid JSON at byte 4"),
        .init(safetensors(#"{"\"#), "not valid JSON"),
        .init(safetensors(#"{"a\u00"#), "not valid JSON"),
        .init(safetensors(#"{"\q":0}"#), "not valid JSON"),
        .init(safetensors("{,}"), "not valid JSON at byte 1"),
        .init(safetensors("\u{0}{}"), "not a JSON object"),
        .init(safetensors("{}", data: [0]), "1 bytes follow the last tensor"),
        .init(safetensors(String(repeating: "[", count: 100_000)), "not a JSON object"),
        .init(safetensors(String(repeating: #"{"a":"#, count: 100_000)), "exactly dtype"),
        .init(safetensors("[" + String(repeating: "0,", count: 500_000) + "0]"), "not a JSON object"),
    ]

    @Test(arguments: wholeFiles) func `a file that is no safetensors is refused`(file: HostileFile) {
        let found = problem(file.bytes) ?? "accepted"

        #expect(found.contains(file.part))
    }

    static let headers: [HostileFile] = [
        .init(object(f32("a", "[1]", "[0,4]"), f32("b", "[1]", "[0,4]")), data: 4, "overlaps"),
        .init(object(f32("a", "[2]", "[0,8]"), f32("b", "[1]", "[4,8]")), data: 8, "overlaps"),
        .init(object(f32("a", "[2]", "[0,8]"), f32("z", "[0]", "[4,4]")), data: 8, "overlaps"),
        .init(object(f32("a", "[1]", "[0,4]"), f32("b", "[1]", "[8,12]")), data: 12, "4..<8"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, data: 8, "0..<4"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 3, "cut short, 1 bytes"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 5, "1 bytes follow"),
        .init(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4, "8 bytes by its shape but 4"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, data: 4, "no range"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, data: 4, "more than 2 sizes"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[]}}"#, data: 4, "no range"),
        .init(#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, data: 0, "overflows"),
        .init(#"{"a":{"dtype":"F32","shape":[3037000500,3037000500],"data_offsets":[0,4]}}"#, data: 4, "overflows"),
        .init(#"{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}}"#, data: 4, "whole number"),
        .init(#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, data: 4, "more than 8 sizes"),
        .init(#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "unknown dtype `F31`"),
        .init(#"{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "unknown dtype"),
        .init(#"{"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}"#, data: 4, "exactly dtype"),
        .init(#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, data: 4, "exactly dtype"),
        .init(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, data: 4, "exactly dtype"),
        .init(#"{"a":7}"#, data: 0, "exactly dtype"),
        .init(object(f32("a", "[1]", "[0,4]"), f32("a", "[1]", "[4,8]")), data: 8, "stands twice"),
        .init(#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "exactly dtype"),
        .init(object(f32("a", "[0]", "[0,0]"), f32(#"\u0061"#, "[0]", "[0,0]")), data: 0, "stands twice"),
        .init(#"{"__metadata__":{"a":"","a":""}}"#, data: 0, "stands twice"),
        .init(#"{"__metadata__":{},"__metadata__":{}}"#, data: 0, "stands twice"),
        .init(#"{"__metadata__":{"n":1}}"#, data: 0, "object of strings"),
        .init(#"{"__metadata__":"pt"}"#, data: 0, "object of strings"),
        .init(#"{"__metadata__":{"x":"\#(String(repeating: "y", count: 65_536))"}}"#, data: 0, "more than 64 KiB"),
        .init(#"{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "no tensor name"),
        .init(object(f32(String(repeating: "n", count: 257), "[1]", "[0,4]")), data: 4, "no tensor name"),
        .init(#"{"a b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "no tensor name"),
        .init(#"{"a\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "no tensor name"),
        .init(#"{"../a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "no tensor name"),
        .init(#"{"w\u00f6":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, "no tensor name"),
        .init(#"{"\u001b[31m":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4, #"\u{1B}"#),
    ]

    @Test(arguments: headers) func `a header that lies is refused`(file: HostileFile) {
        let found = problem(file.bytes) ?? "accepted"

        #expect(found.contains(file.part))
    }

    @Test func `more tensors than the limit are refused`() {
        let entries = (0...65_536).map { #""t\#($0)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"# }
        let header = "{" + entries.joined(separator: ",") + "}"

        #expect(problem(safetensors(header))?.contains("more than 65536 tensors") == true)
    }

    @Test func `every cut and every flipped byte of a small file is refused or read, never a trap`() {
        let header = #"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}"#
        let whole = safetensors(header, data: [1, 2, 3, 4])

        for count in 0..<whole.count { #expect(problem(Array(whole[..<count])) != nil) }
        for index in whole.indices {
            for bit in [0, 3, 6] {
                var bytes = whole
                bytes[index] ^= 1 << bit
                if let found = problem(bytes) { #expect(!found.hasPrefix("another error")) }
            }
        }
    }
}
