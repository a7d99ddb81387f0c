import Foundation
import Terms

/// Files of Tests/TemplatesTests/Fixtures; scripts/parity/make-template-fixtures writes what is expected.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")

    static func text(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: folder.appendingPathComponent(name)), as: UTF8.self)
    }

    static func json(_ name: String) throws -> JSONValue { try JSONValue.parse(try text(name)) }

    /// Variables as transformers passes them, those of the fixture on top.
    static func variables(_ members: JSONObject) -> JSONObject {
        JSONObject(
            [
                ("messages", .null), ("tools", .null), ("documents", .null), ("add_generation_prompt", .bool(false)),
            ] + members.members)
    }
}
