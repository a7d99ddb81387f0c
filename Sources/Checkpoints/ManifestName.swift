package import Terms

/// A manifest's file name: `<step, 12 digits>-<coordinator epoch, 8 digits>-<first 16 hex digits of its SHA-256>.json`.
package struct ManifestName: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The step whose state the manifest names, 0…999 999 999 999.
    package let step: Step
    /// The coordinator epoch that published it, 0…99 999 999.
    package let epoch: Int
    /// The first 16 hexadecimal digits of the SHA-256 over the file's bytes.
    package let prefix: String

    /// Largest step a name can hold.
    package static let stepLimit = 999_999_999_999
    /// Largest coordinator epoch a name can hold.
    package static let epochLimit = 99_999_999

    /// The name of a manifest; `step` and `epoch` within their limits.
    package init(step: Step, epoch: Int, digest: Digest) {
        precondition((0...Self.stepLimit).contains(step), "a manifest's step has at most 12 digits")
        precondition((0...Self.epochLimit).contains(epoch), "a coordinator epoch has at most 8 digits")
        self.step = step
        self.epoch = epoch
        prefix = String(digest.hex.prefix(16))
    }

    /// Reads a file name; nil for anything that `text` would not give back byte for byte.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 43, bytes[12] == UInt8(ascii: "-"), bytes[21] == UInt8(ascii: "-"),
            bytes[38...].elementsEqual(".json".utf8),
            let step = Self.number(bytes[0..<12]), let epoch = Self.number(bytes[13..<21]),
            bytes[22..<38].allSatisfy(Self.isHexDigit)
        else { return nil }
        self.step = step
        self.epoch = epoch
        prefix = String(decoding: bytes[22..<38], as: UTF8.self)
    }

    /// The file name.
    package var text: String { Self.padded(step, 12) + "-" + Self.padded(epoch, 8) + "-" + prefix + ".json" }
    package var description: String { text }

    /// True when this is the name of a manifest with this digest, step and epoch.
    package func names(_ digest: Digest) -> Bool { digest.hex.hasPrefix(prefix) }

    /// Ascending by (epoch, step, digest): a higher epoch is newer whatever its step.
    package static func < (left: ManifestName, right: ManifestName) -> Bool {
        (left.epoch, left.step, left.prefix) < (right.epoch, right.step, right.prefix)
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: width - text.count) + text
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
