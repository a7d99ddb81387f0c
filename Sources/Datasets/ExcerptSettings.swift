/// How much of a large dataset is enough for a job that will not see all of it, and how that part is drawn.
package struct ExcerptSettings: Sendable, Equatable {
    /// What must be there to be trained on. Weights count, rows for validation don't.
    package enum Extent: Sendable, Equatable {
        case sequences(Int)
        /// Input tokens.
        case tokens(Int)
    }

    /// A power of two: a job that is a little longer has the same excerpt.
    package let extent: Extent
    /// Whether chunks are drawn by the seed; false = from the front of the files.
    package let isShuffled: Bool
    /// Files are cut into chunks of so many bytes.
    package var chunkBytes = 256 << 10
    /// Fewer bytes are never drawn: what is drawn should have something of everything.
    package var leastBytes = 64 << 20

    /// An excerpt of at least the extent.
    package init(_ extent: Extent, isShuffled: Bool) {
        self.extent =
            switch extent {
            case .sequences(let count): .sequences(Self.roundedUp(count))
            case .tokens(let count): .tokens(Self.roundedUp(count))
            }
        self.isShuffled = isShuffled
    }

    private static let largest = 1 << 50

    private static func roundedUp(_ count: Int) -> Int {
        count >= largest ? largest : count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
    }

    /// Why no excerpt of files can be drawn, a sentence; nil = it can.
    package static func obstacle(_ files: [DatasetFile]) throws(DatasetError) -> String? {
        for file in files {
            guard file.sampleLimit == nil else {
                return "\(file.path) has `num_samples`, which are chosen from all of its rows"
            }
            guard try RowSource(path: file.path).isLines else {
                return "\(file.path) is not JSON Lines, and only lines can be told apart anywhere in a file"
            }
        }
        return nil
    }
}

/// What an excerpt holds, beside what there is.
package struct ExcerptExtent: Sendable, Equatable {
    package var chunks: Int
    package var ofChunks: Int
    package var bytes: Int
    package var ofBytes: Int
}
