package import Coordination
import Foundation
import Hashing
import ModelFiles
package import Terms

/// The digests of a large file's blocks, by which any part of it can be checked before all of it is here.
///
/// A table is a file itself, named in the job by its digest: the SHA-256 of the whole file, then that of each block.
package struct BlockTable: Sendable, Equatable {
    /// Bytes of a block, of all but the last one.
    ///
    /// A shuffled step reads single sequences from all over the file, some KiB each: small blocks bring little else.
    package static let blockBytes = 64 << 10

    /// Bytes of the file.
    package let size: Int
    /// Of the whole file, then of each block.
    private let digests: [UInt8]

    private init(size: Int, digests: [UInt8]) { (self.size, self.digests) = (size, digests) }

    /// - Returns: nil when these are not the bytes of a table of the file with that digest and size.
    package init?(_ bytes: [UInt8], digest: Digest, size: Int) {
        guard bytes.starts(with: digest.bytes), bytes.count == 32 * (1 + Self.count(size)) else { return nil }
        self.init(size: size, digests: bytes)
    }

    private static func count(_ size: Int) -> Int { (size + blockBytes - 1) / blockBytes }

    /// How many blocks there are.
    package var count: Int { Self.count(size) }

    /// The file that a table is.
    package var encoded: [UInt8] { digests }

    /// The bytes of a block.
    package func range(of block: Int) -> Range<Int> {
        block * Self.blockBytes..<min((block + 1) * Self.blockBytes, size)
    }

    /// The blocks that hold any of these bytes.
    package static func blocks(holding bytes: Range<Int>) -> Range<Int> {
        bytes.isEmpty ? 0..<0 : bytes.lowerBound / blockBytes..<(bytes.upperBound - 1) / blockBytes + 1
    }

    /// Whether these are the bytes of a block.
    package func isBlock(_ block: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count == range(of: block).count
            && digests[32 * (block + 1)..<32 * (block + 2)].elementsEqual(Digest.sha256(of: bytes).bytes)
    }

    // MARK: Of a file

    /// Files below this many bytes travel whole.
    package static let smallestFile = 4 << 20

    /// The table of a job's data, kept beside it; nil when the data is small. Read only once, as long as nobody writes
    /// to the data.
    package static func file(of data: JobFile) throws -> JobFile? {
        guard data.size >= smallestFile else { return nil }
        let path = data.path + ".blocks"
        let known = (try? Disk.read(path, limit: 1 << 30)).flatMap {
            BlockTable($0, digest: data.digest, size: data.size)
        }
        let table = try known ?? made(of: data)
        if known == nil { try Disk.write(table.encoded, to: path) }
        return JobFile(
            kind: .blocks, name: "\(data.name).blocks", digest: Digest.sha256(of: table.encoded),
            size: table.encoded.count, path: path)
    }

    private static func made(of data: JobFile) throws -> BlockTable {
        guard let file = FileHandle(forReadingAtPath: data.path) else {
            throw LoadProblem(description: "can't read \(data.path)")
        }
        var digests = data.digest.bytes
        var size = 0
        while let block = try file.read(upToCount: blockBytes), !block.isEmpty {
            digests += block.withUnsafeBytes { Digest.sha256(of: $0) }.bytes
            size += block.count
        }
        guard size == data.size, digests.count == 32 * (1 + count(size)) else {
            throw LoadProblem(description: "\(data.path) changed while it was read")
        }
        return BlockTable(size: size, digests: digests)
    }
}
