/// Files as large as the reader's limits allow, made when they are needed: each must be refused like a small one. A
/// debug build, which is many times as slow, makes smaller ones.
struct Bombs {
    let name: String
    private let open: String
    private let piece: String
    private let close: String
    private let headerBytes: Int

    /// A header of `headerBytes`, in an optimised build all that the reader takes: `open`, as many pieces as fit,
    /// `close`.
    private init(_ name: String, _ open: String, _ piece: String, _ close: String = "") {
        (self.name, self.open, self.piece, self.close) = (name, open, piece, close)
        headerBytes = Limits.isOptimised ? 16 << 20 : 1 << 20
    }

    static let all = [
        Bombs("bomb of spaces", "{", " "),
        Bombs("bomb of lists", "{\"a\":", "["),
        Bombs("bomb of objects", "", "{\"a\":"),
        Bombs("bomb of one name", "{\"", "a"),
        Bombs("bomb of an escaped name", "{\"", "\\u0061", "\":1}"),
        Bombs("bomb of metadata", "{\"__metadata__\":{\"a\":\"", "a", "\"}}"),
        Bombs("bomb of metadata keys", "{\"__metadata__\":{\"a\":\"\"", ",\"a\":\"\"", "}}"),
        Bombs("bomb of a size", "{\"a\":{\"dtype\":\"F32\",\"shape\":[", "9"),
        Bombs("bomb of sizes", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0", ",0"),
        Bombs("bomb of commas", "{", ","),
        Bombs(
            "bomb of equal tensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
            ",\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}"),
    ]

    func bytes() -> [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(8 + headerBytes)
        for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: headerBytes >> (8 * index))) }
        bytes += open.utf8
        let piece = Array(piece.utf8)
        while bytes.count + piece.count + close.utf8.count <= 8 + headerBytes { bytes += piece }
        bytes += close.utf8
        bytes += Array(repeating: 0x20, count: 8 + headerBytes - bytes.count)
        return bytes
    }
}
