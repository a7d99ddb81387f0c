import Collectives
import Foundation
import Kernels
import Terms
import Wire
import WorkerShell

/// Putting a step's gradient together from chunks, as one of three members: sequences of chunks in any order, doubled,
/// misplaced, of other steps, jobs and generations, of members and strangers.
///
/// A file is a list of records of eight bytes, each one chunk. What a chunk carries always is the true sum of what its
/// header says, so that at the end, when everything that is missing has arrived too, the gradient must be the true one:
/// a chunk that was counted twice or put in the wrong place shows.
struct ChunkRun: Target {
    private let corpus: Corpus
    private let seed: UInt64
    private var cases = 0
    private var chunks = 0
    private var dropped = 0
    private let stages: [ChunkStage]
    private static let records = 64

    init(_ corpus: Corpus, seed: UInt64) throws {
        (self.corpus, self.seed) = (corpus, seed)
        stages = GradientWire.Format.allCases.map(ChunkStage.init)
        for stage in stages { _ = try stage.play([], "warm-up") }
        try Limits.forbidGrowth()
    }

    mutating func checkCorpus() throws {
        for file in corpus.files {
            for stage in stages {
                let (isGathered, _) = try take(file.bytes, stage, file.name)
                if file.name.hasPrefix("accept-") != isGathered {
                    throw Finding(
                        description: "\(file.name) was \(isGathered ? "whole" : "not whole") (\(stage.wire.format))")
                }
            }
        }
    }

    mutating func mutate(seconds: UInt64) throws {
        let end = DispatchTime.now().uptimeNanoseconds + seconds * 1_000_000_000
        var number: UInt64 = 0
        while DispatchTime.now().uptimeNanoseconds < end {
            var mutation = ByteMutation(corpus, seed: seed, number: number, limit: 8 * Self.records)
            _ = try take(mutation.bytes(), stages[Int(number % UInt64(stages.count))], "seed \(seed), number \(number)")
            number += 1
        }
    }

    func report() {
        let sentence = "fuzz chunks: \(cases) sequences of \(chunks) chunks, \(dropped) of them dropped\n"
        FileHandle.standardOutput.write(Data(sentence.utf8))
    }

    private mutating func take(_ bytes: [UInt8], _ stage: ChunkStage, _ name: String) throws -> (Bool, Int) {
        cases += 1
        let (isGathered, dropped) = try stage.play(bytes, name)
        chunks += bytes.count / 8
        self.dropped += dropped
        return (isGathered, dropped)
    }
}

/// The member that gathers, and what the others could send it. All values are small whole numbers: they add up exactly.
final class ChunkStage {
    let wire: GradientWire
    private static let (shards, world, rank, target) = (8, 3, 2, 5)
    /// Three slices: of one, one and two chunks.
    private static let elements = 49 * 4096
    private static let tag: UInt64 = 0x7461_67
    private let tree = ShardTree(leaves: 8)
    private let nodes: [ShardRange]
    private let slices = Partition.slices(parameters: 49 * 4096, members: 3)
    /// Whole vectors by node.
    private let values: [FloatBuffer]
    /// Payloads by node, then by chunk of all slices.
    private var payloads: [[[UInt8]?]]
    private let roster: Roster
    private static let full = WireLimits.chunkBytes / 4

    init(_ format: GradientWire.Format) {
        wire = GradientWire(format, tensors: [1000, 77, Self.elements - 1077])
        var nodes: [ShardRange] = []
        func collect(_ node: ShardRange) {
            nodes.append(node)
            guard node.count > 1 else { return }
            let middle = ShardTree.split(node)
            collect(ShardRange(node.lower, middle))
            collect(ShardRange(middle, node.upper))
        }
        collect(ShardRange(0, Self.shards))
        self.nodes = nodes
        values = nodes.map { node in
            let buffer = FloatBuffer(count: Self.elements)
            for index in 0..<Self.elements {
                var sum = 0
                for shard in node.lower..<node.upper { sum += (shard &* 31 &+ index &* 7) % 17 - 8 }
                buffer.pointer[index] = Float(sum)
            }
            return buffer
        }
        payloads = nodes.map { _ in Array(repeating: nil, count: 16) }
        let slices = slices
        let members = (0..<Self.world).map { rank in
            Member(
                node: Self.node(rank), dataEndpoint: "", shards: ShardRange(0, 0), firstShards: [],
                slice: UInt64(slices[rank].lowerBound)..<UInt64(slices[rank].upperBound))
        }
        roster = Roster(
            job: JobID(1), generation: Generation(4), members: members, target: UInt64(Self.target), digest: 0,
            sources: [])
    }

    private static func node(_ rank: Int) -> NodeID { NodeID(high: 7, low: UInt64(rank)) }

    /// Plays the records, then everything that is missing; whether the records alone were enough, and how many chunks
    /// the exchange dropped.
    func play(_ bytes: [UInt8], _ name: String) throws -> (isGathered: Bool, dropped: Int) {
        let root = FloatBuffer(count: Self.elements)
        let exchange = Exchange(
            roster: roster, rank: Self.rank, node: Self.node(Self.rank), virtualShards: Self.shards,
            parameters: Self.elements, root: root, wire: wire)
        let pool = BufferPool(count: Self.elements)
        var gathered = 0
        var lossSum = 0.0
        var own: Set<Int> = []
        func note(_ result: (out: [Exchange.Outgoing], gathered: Exchange.Gathered?)) {
            guard let done = result.gathered, done.step == Self.target + 1 else { return }
            gathered += 1
            lossSum = done.lossSum
        }
        var strange = false
        for start in stride(from: 0, to: bytes.count - 7, by: 8) {
            let record = Array(bytes[start..<start + 8])
            if record[0] % 8 == 6 {
                let place = Int(record[2]) % nodes.count
                guard own.insert(place).inserted,
                    !own.contains(where: { $0 != place && nodes[$0].overlaps(nodes[place]) })
                else { continue }
                let sum = NodeSum(shards: nodes[place], lossSum: loss(nodes[place]), from: pool)
                sum.pointer.update(from: values[place].pointer, count: Self.elements)
                note(exchange.add(sum, step: Self.target + 1, tag: Self.tag))
                continue
            }
            let before = exchange.dropped
            let (header, payload, mustDrop) = chunk(record)
            let result = payload.withUnsafeBytes { exchange.receive(header, $0) }
            guard !mustDrop || exchange.dropped == before + 1 else {
                throw Finding(description: "\(name): a chunk was taken that fits nowhere: \(header)")
            }
            strange = strange || header.recipeTag != Self.tag
            note(result)
        }
        let isGathered = gathered > 0
        // A recipe that is not the step's fills places: whether the rest fits in is luck then, and no member's doing.
        if !strange {
            complete { header, payload in note(payload.withUnsafeBytes { exchange.receive(header, $0) }) }
            guard gathered == 1 else {
                throw Finding(description: "\(name): gathered \(gathered) times (\(wire.format))")
            }
            guard lossSum == loss(tree.root), memcmp(root.pointer, values[0].pointer, 4 * Self.elements) == 0 else {
                throw Finding(description: "\(name): the gradient is not the sum (\(wire.format))")
            }
        }
        return (isGathered, exchange.dropped)
    }

    private func loss(_ node: ShardRange) -> Double { Double((node.lower..<node.upper).reduce(0) { $0 + $1 + 1 }) }

    /// Every chunk that the others could still owe.
    private func complete(_ send: (DataHeader, [UInt8]) -> Void) {
        for _ in 0..<2 {
            for sender in 0..<2 {
                for place in nodes.indices {
                    for range in cut(slices[Self.rank]) {
                        send(header(.node, sender, place, range), payload(place, range))
                    }
                }
            }
        }
        for sender in 0..<2 {
            for range in cut(slices[sender]) { send(header(.root, sender, 0, range), payload(0, range)) }
        }
    }

    private func cut(_ slice: Range<Int>) -> [Range<Int>] {
        stride(from: slice.lowerBound, to: slice.upperBound, by: Self.full).map {
            $0..<min($0 + Self.full, slice.upperBound)
        }
    }

    private func header(_ kind: DataHeader.Kind, _ sender: Int, _ place: Int, _ range: Range<Int>) -> DataHeader {
        var header = DataHeader(
            kind: kind, job: roster.job, generation: roster.generation, step: UInt64(Self.target + 1),
            offset: UInt64(range.lowerBound), count: UInt64(range.count), sender: Self.node(sender))
        header.shards = nodes[place]
        header.recipeTag = Self.tag
        header.lossSum = loss(nodes[place])
        return header
    }

    /// The bytes of a node's elements; kept.
    private func payload(_ place: Int, _ range: Range<Int>) -> [UInt8] {
        let number = range.lowerBound / 4096
        let slot = slices.flatMap(cut).firstIndex(of: range) ?? number % 16
        if let known = payloads[place][slot] { return known }
        let bytes = [UInt8](unsafeUninitializedCapacity: wire.bytes(of: range)) { buffer, count in
            wire.encode(
                values[place].pointer + range.lowerBound, range, into: UnsafeMutableRawPointer(buffer.baseAddress!))
            count = wire.bytes(of: range)
        }
        payloads[place][slot] = bytes
        return bytes
    }

    /// The chunk of a record, and whether nobody may take it.
    private func chunk(_ record: [UInt8]) -> (header: DataHeader, payload: [UInt8], mustDrop: Bool) {
        let isRoot = record[0] % 8 == 5
        let sender = Int(record[1]) % 4
        let place = isRoot ? 0 : Int(record[2]) % nodes.count
        let ranges = cut(slices[isRoot && sender < Self.world ? sender : Self.rank])
        let range = ranges[Int(record[3]) % ranges.count]
        var header = header(isRoot ? .root : .node, sender, place, range)
        var payload = payload(place, range)
        var mustDrop = sender >= Self.rank
        header.step = UInt64(Self.target + 1 + Int(record[4] % 4 == 3 ? record[5] % 3 : 0))
        if record[4] % 16 == 7 { (header.step, mustDrop) = (UInt64(record[5]) << 55, true) }
        func spoil(_ bit: UInt8, _ change: () -> Void) {
            guard record[6] & bit != 0 else { return }
            change()
            mustDrop = true
        }
        spoil(1) { header.job = JobID(2 + UInt32(record[7])) }
        spoil(2) { header.generation = Generation(5 + UInt32(record[7])) }
        spoil(4) { header.offset += 1 + UInt64(record[7]) }
        spoil(8) { header.count += 1 + UInt64(record[7]) }
        spoil(16) { payload.removeLast(min(payload.count, 1 + Int(record[7]))) }
        spoil(32) { (header.offset, header.count) = (UInt64(record[7]) << 40, UInt64(record[7]) << 40 | 1) }
        spoil(64) { header.shards = ShardRange(Int(record[7]), Int(record[7]) + 3) }
        if record[6] & 128 != 0 { header.recipeTag ^= UInt64(record[7]) }
        return (header, payload, mustDrop)
    }
}
