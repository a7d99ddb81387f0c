import Recipes
import Terms

/// A part of a file's bytes; the rows whose first byte lies in it belong to it.
struct DataChunk: Sendable, Equatable {
    /// The file's number.
    var file: Int
    var bytes: Range<Int>
}

/// The chunks of all files in the order in which an excerpt takes them. A pure function of the files' sizes and the
/// seed, without a table: every chunk has the same chance, so a file counts by its bytes.
struct ChunkOrder: Sendable {
    /// Bytes of each file.
    private let sizes: [Int]
    /// Chunks before each file, and of all of them.
    private let firsts: [Int]
    private let chunkBytes: Int
    private let permutation: Permutation?

    init(sizes: [Int], settings: ExcerptSettings, seed: UInt64) {
        precondition(settings.chunkBytes >= 16, "a chunk holds more than a byte order mark")
        self.sizes = sizes
        chunkBytes = settings.chunkBytes
        var firsts = [0]
        for size in sizes { firsts.append(firsts[firsts.count - 1] + (size + chunkBytes - 1) / chunkBytes) }
        self.firsts = firsts
        let count = firsts[sizes.count]
        permutation =
            settings.isShuffled && count > 0
            ? Permutation(count: count, seed: seed, purpose: .excerpt, epoch: 0) : nil
    }

    /// Chunks in all.
    var count: Int { firsts[sizes.count] }
    /// Bytes of all files.
    var bytes: Int { sizes.reduce(0, +) }

    /// The chunk that is taken at `place`, in `0 ..< count`.
    subscript(place: Int) -> DataChunk {
        precondition(place >= 0 && place < count, "place outside the order")
        let number = permutation.map { $0[place] } ?? place
        // The last file that begins at or before it; empty ones begin where the next one does.
        let file = firsts.indices.partitionPoint { firsts[$0] <= number } - 1
        let start = (number - firsts[file]) * chunkBytes
        return DataChunk(file: file, bytes: start..<min(start + chunkBytes, sizes[file]))
    }
}
