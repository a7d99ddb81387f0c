package import Terms

/// Where a worker has put up memory for the chunks of a peer on the same machine: the payload of `.shelf`.
package struct ShelfOffer: Sendable, Equatable {
    /// The process that holds the memory, and its file descriptor there.
    package var process: UInt32
    package var descriptor: UInt32
    /// Which of its readers the peer is.
    package var reader: UInt32
    /// Stands at the head of the memory too: proves that what was opened is what was offered.
    package var nonce: UInt64

    /// Most readers of one.
    package static let readers: UInt32 = 32

    package init(process: UInt32, descriptor: UInt32, reader: UInt32, nonce: UInt64) {
        self.process = process
        self.descriptor = descriptor
        self.reader = reader
        self.nonce = nonce
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 20)
        writer.integer(process)
        writer.integer(descriptor)
        writer.integer(reader)
        writer.integer(nonce)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        process = try reader.integer()
        descriptor = try reader.integer()
        self.reader = try reader.integer()
        guard self.reader < Self.readers else { throw .invalid("reader") }
        nonce = try reader.integer()
        try reader.finish()
    }
}

/// Where on its sender's shelf a chunk lies: the second frame of three (the third is empty) that stand for its bytes.
package struct ShelfPlace: Sendable, Equatable {
    /// Of the offer that the place belongs to.
    package var nonce: UInt64
    /// In `0..<ShelfPlace.places`.
    package var place: UInt32
    /// How often the place had been filled: tells this chunk from what lay there before and will after it.
    package var turn: UInt32
    /// Bytes of the payload, at most a chunk's.
    package var count: UInt32

    /// Places of every shelf, of a chunk each.
    package static let places: UInt32 = 16

    package init(nonce: UInt64, place: UInt32, turn: UInt32, count: UInt32) {
        self.nonce = nonce
        self.place = place
        self.turn = turn
        self.count = count
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 20)
        writer.integer(nonce)
        writer.integer(place)
        writer.integer(turn)
        writer.integer(count)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        nonce = try reader.integer()
        place = try reader.integer()
        guard place < Self.places else { throw .invalid("place") }
        turn = try reader.integer()
        count = try reader.integer()
        guard count <= WireLimits.chunkBytes else { throw .invalid("count") }
        try reader.finish()
    }
}
