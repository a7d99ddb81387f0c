import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Reads the one JSON shape a safetensors header may have, straight from its bytes.
///
/// A general JSON value of a hostile header of 1 MiB takes over 100 ms to build; this reader stops at the first fault.
struct SafetensorsHeaderReader {
    private(set) var entries: [TensorEntry] = []
    private(set) var metadata: [(key: String, value: String)] = []
    private var names: Set<String> = []
    private var hasMetadata = false
    private let bytes: UnsafeRawBufferPointer
    private let path: String
    private var at = 0

    /// A reader of the header `bytes`, without the length word; `path` is for messages only.
    init(bytes: UnsafeRawBufferPointer, path: String) {
        self.bytes = bytes
        self.path = path
    }

    /// Reads the whole header into `entries` (in the order written, names all different) and `metadata`.
    mutating func read() throws(ModelFileError) {
        skipSpace()
        guard take("{") else { throw fault("its header is not a JSON object") }
        skipSpace()
        if !take("}") {
            repeat {
                skipSpace()
                try member()
                skipSpace()
            } while take(",")
            guard take("}") else { throw syntax() }
        }
        skipSpace()
        guard at == bytes.count else { throw syntax() }
    }

    private mutating func member() throws(ModelFileError) {
        let key = try string()
        try colon()
        if key == "__metadata__" {
            guard !hasMetadata else { throw fault("`__metadata__` stands twice") }
            hasMetadata = true
            return try readMetadata()
        }
        try checkName(key)
        guard names.insert(key).inserted else { throw fault("tensor `\(key)` stands twice") }
        guard entries.count < SafetensorsLimits.tensors else {
            throw fault("it lists more than \(SafetensorsLimits.tensors) tensors")
        }
        entries.append(try entry(name: key))
    }

    private mutating func readMetadata() throws(ModelFileError) {
        guard take("{") else { throw fault("`__metadata__` is not an object of strings") }
        skipSpace()
        if take("}") { return }
        var total = 0
        var seen: Set<String> = []
        repeat {
            skipSpace()
            let key = try string()
            try colon()
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else {
                throw fault("`__metadata__` is not an object of strings")
            }
            let value = try string()
            total += key.utf8.count + value.utf8.count
            guard total <= SafetensorsLimits.metadataBytes else {
                throw fault("`__metadata__` holds more than \(SafetensorsLimits.metadataBytes >> 10) KiB")
            }
            guard seen.insert(key).inserted else {
                throw fault("the key `\(printable(key))` of `__metadata__` stands twice")
            }
            metadata.append((key, value))
            skipSpace()
        } while take(",")
        guard take("}") else { throw syntax() }
    }

    private mutating func entry(name: String) throws(ModelFileError) -> TensorEntry {
        var typeName: String?
        var shape: [Int]?
        var offsets: [Int]?
        func incomplete() -> ModelFileError { fault("tensor `\(name)` needs exactly dtype, shape and data_offsets") }
        guard take("{") else { throw incomplete() }
        repeat {
            skipSpace()
            let key = try member(of: name)
            try colon()
            switch key {
            case .dtype where typeName == nil && at < bytes.count && bytes[at] == UInt8(ascii: "\""):
                typeName = try string()
            case .shape where shape == nil: shape = try sizes(of: name, limit: SafetensorsLimits.rank)
            case .offsets where offsets == nil: offsets = try sizes(of: name, limit: 2)
            default: throw incomplete()
            }
            skipSpace()
        } while take(",")
        guard take("}"), let typeName, let shape, let offsets else { throw incomplete() }
        guard let type = ElementType(rawValue: typeName) else {
            throw fault("tensor `\(name)` has the unknown dtype `\(printable(typeName))`")
        }
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw fault("tensor `\(name)` has data_offsets that are no range")
        }
        guard let size = byteCount(shape: shape, type: type) else {
            throw fault("tensor `\(name)` has a shape whose size overflows")
        }
        guard offsets[1] - offsets[0] == size else {
            let found = offsets[1] - offsets[0]
            throw fault("tensor `\(name)` takes \(size) bytes by its shape but \(found) by its offsets")
        }
        return TensorEntry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// What describes a tensor.
    private enum Member { case dtype, shape, offsets, other }

    /// A member's name; plain ones are told by their bytes, which is several times as fast as making a text of each.
    private mutating func member(of name: String) throws(ModelFileError) -> Member {
        if take(word: "\"dtype\"") { return .dtype }
        if take(word: "\"shape\"") { return .shape }
        if take(word: "\"data_offsets\"") { return .offsets }
        switch try string() {
        case "dtype": return .dtype
        case "shape": return .shape
        case "data_offsets": return .offsets
        default: return .other
        }
    }

    private mutating func take(word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard bytes.count - at >= count, let base = bytes.baseAddress,
            memcmp(base + at, word.utf8Start, count) == 0
        else { return false }
        at += count
        return true
    }

    /// A list of at most `limit` whole numbers from 0 to 2^63−1, written as digits alone.
    private mutating func sizes(of name: String, limit: Int) throws(ModelFileError) -> [Int] {
        guard take("[") else { throw fault("tensor `\(name)` needs exactly dtype, shape and data_offsets") }
        skipSpace()
        if take("]") { return [] }
        var sizes: [Int] = []
        repeat {
            guard sizes.count < limit else { throw fault("tensor `\(name)` has more than \(limit) sizes or offsets") }
            skipSpace()
            guard let size = wholeNumber() else {
                throw fault("tensor `\(name)` has a size or offset that is not a whole number from 0 to 2^63-1")
            }
            sizes.append(size)
            skipSpace()
        } while take(",")
        guard take("]") else { throw syntax() }
        return sizes
    }

    private mutating func wholeNumber() -> Int? {
        let start = at
        var value = 0
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) {
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, overflowAgain) = scaled.addingReportingOverflow(Int(bytes[at] - 0x30))
            if overflow || overflowAgain { return nil }
            value = next
            at += 1
        }
        let isFraction = at < bytes.count && [0x2E, 0x45, 0x65].contains(bytes[at])
        let hasLeadingZero = at - start > 1 && bytes[start] == 0x30
        return at > start && !isFraction && !hasLeadingZero ? value : nil
    }

    private func checkName(_ name: String) throws(ModelFileError) {
        let bytes = name.utf8
        guard (1...SafetensorsLimits.nameBytes).contains(bytes.count), bytes.allSatisfy(Self.isNameByte),
            !name.split(separator: "/", omittingEmptySubsequences: false).contains("..")
        else {
            let rule = "1…\(SafetensorsLimits.nameBytes) letters, digits, `_`, `.`, `-`, `/`"
            throw fault("`\(printable(name))` is no tensor name of \(rule)")
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D...0x2F, 0x5F: true
        default: false
        }
    }

    /// nil when the product overflows; a zero anywhere makes it zero, as long as the sizes before do not overflow.
    private func byteCount(shape: [Int], type: ElementType) -> Int? {
        var product = type.byteCount
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            if overflow { return nil }
            product = next
        }
        return product
    }

    /// A JSON string, escapes and all; anything else is a fault.
    private mutating func string() throws(ModelFileError) -> String {
        guard take("\"") else { throw syntax() }
        let start = at
        // No name and no metadata is longer, even if every character is an escape.
        let limit = min(bytes.count, start + 6 * SafetensorsLimits.metadataBytes)
        var hasEscape = false
        while at < limit, bytes[at] != UInt8(ascii: "\""), bytes[at] >= 0x20 {
            if bytes[at] == UInt8(ascii: "\\") {
                hasEscape = true
                at += 1
            }
            at += 1
        }
        if at >= limit, limit < bytes.count {
            throw fault("its header holds a string of more than \(SafetensorsLimits.metadataBytes >> 10) KiB")
        }
        guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw syntax() }
        at += 1
        let body = UnsafeRawBufferPointer(rebasing: bytes[start..<at - 1])
        if !hasEscape {
            guard let text = String(validating: body, as: UTF8.self) else { throw syntax() }
            return text
        }
        let quoted = UnsafeRawBufferPointer(rebasing: bytes[start - 1..<at])
        do throws(JSONError) { return try JSONValue.parse(quoted).string ?? "" } catch { throw syntax() }
    }

    private mutating func colon() throws(ModelFileError) {
        skipSpace()
        guard take(":") else { throw syntax() }
        skipSpace()
    }

    private mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0A, 0x0D: at += 1
            default: return
            }
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private func fault(_ problem: String) -> ModelFileError { SafetensorsHeader.fault(problem, path: path) }

    private func syntax() -> ModelFileError { fault("its header is not valid JSON at byte \(min(at, bytes.count))") }
}
