package import Collectives
package import Terms

/// The first frame of every data message; the second frame is the payload, or, of three, says where it lies
/// (`ShelfPlace`).
///
/// Parameters, gradients, checkpoints and files travel in chunks of at most `WireLimits.chunkBytes`. Fixed size,
/// little-endian, so that a receiver can check a chunk before it touches a buffer.
package struct DataHeader: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        /// Part of the sum over a node of the reduction tree, to the owner of the slice.
        case node = 1
        /// Part of the finished sum over all shards, from the owner to every member.
        case root
        /// Asks a peer or the coordinator for a range of training state.
        case stateRequest
        /// Part of the training state.
        case state
        /// Part of a checkpoint, to the coordinator.
        case checkpoint
        /// Asks the coordinator, or a peer, for a range of a file, named by its digest in the payload.
        case fileRequest
        /// Part of a file. With `count` 0, why it can't be had, in words.
        case file
        /// Asks a member for shards of the step: the sender has none left. `count` is what one takes it, in
        /// microseconds.
        case plea
        /// The answer: a node of the tree that is the receiver's to compute now; none when there is nothing to give.
        /// With
        /// `attempt` 1 the sender computes it too.
        case grant
        /// A piece of a checkpoint that its owner has put into the store itself: the digest, 32 bytes. With `count` 0,
        /// why it can't, in words.
        case object
        /// Offers memory for chunks to a peer on the same machine: a `ShelfOffer`.
        case shelf
        /// There is room on the receiver's shelf again.
        case room
    }

    package var kind: Kind
    /// What part of the state: 0 parameters, 1 first moments, 2 second moments.
    package var role: UInt8 = 0
    package var job: JobID
    package var generation: Generation
    package var step: UInt64
    /// Save attempt or request number; 1 in a grant that is a loan, and where one block of a file is asked for.
    package var attempt: UInt32 = 0
    /// The node, for `.node`; the whole tree for `.root`.
    package var shards = ShardRange(0, 0)
    /// First element of the flat vector, or first byte of a file.
    package var offset: UInt64
    /// Elements or bytes in the payload (asked for, in a request); microseconds in a plea.
    package var count: UInt64
    /// First eight bytes of the recipe's digest.
    package var recipeTag: UInt64 = 0
    /// Sum of −log p over the trained tokens of `shards`.
    package var lossSum: Double = 0
    /// The sender, so that the receiver knows the chunk's member.
    package var sender: NodeID

    package init(
        kind: Kind, job: JobID, generation: Generation, step: UInt64, offset: UInt64, count: UInt64, sender: NodeID
    ) {
        self.kind = kind
        self.job = job
        self.generation = generation
        self.step = step
        self.offset = offset
        self.count = count
        self.sender = sender
    }

    static let magic: UInt32 = 0x3144_5244
    /// No range of elements or bytes ends beyond.
    package static let extent: UInt64 = 1 << 48
    /// Bytes of an encoded header.
    package static let size = 4 + 1 + 1 + 4 + 4 + 8 + 4 + 8 + 8 + 8 + 8 + 8 + 16

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.integer(Self.magic)
        writer.integer(kind.rawValue)
        writer.integer(role)
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.integer(step)
        writer.integer(attempt)
        shards.write(into: &writer)
        writer.integer(offset)
        writer.integer(count)
        writer.integer(recipeTag)
        writer.double(lossSum)
        sender.write(into: &writer)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        guard try reader.integer(UInt32.self) == Self.magic else { throw .invalid("magic") }
        kind = try reader.choice(Kind.self)
        role = try reader.integer()
        guard role <= 2 else { throw .invalid("role") }
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        step = try reader.integer()
        attempt = try reader.integer()
        shards = try ShardRange(from: &reader)
        offset = try reader.integer()
        count = try reader.integer()
        // No vector or file is longer, and no sum or product of these two can overflow.
        guard offset <= Self.extent, count <= Self.extent, offset + count <= Self.extent else {
            throw .invalid("range")
        }
        recipeTag = try reader.integer()
        lossSum = try reader.double()
        sender = try NodeID(from: &reader)
        try reader.finish()
    }
}
