import CHashing
package import Terms

/// What this processor can hash several messages at once with.
package struct HashInstructions: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Instructions for SHA-256 itself, for one message or two.
    package static let own = HashInstructions(rawValue: 1)
    /// 512-bit registers, for sixteen messages.
    package static let lanes = HashInstructions(rawValue: 2)

    /// Those of this processor.
    package static let found: HashInstructions = {
        var found: HashInstructions = []
        if ch_has_sha256() == 1 { found.insert(.own) }
        if ch_has_sixteen() == 1 { found.insert(.lanes) }
        return found
    }()

    /// How many messages go quickest at once.
    package var width: Int { contains(.lanes) ? HashLanes.most : contains(.own) ? 2 : 1 }
}

extension Digest {
    /// The SHA-256 of each message, in order, as many at once as go quickest; `instructions` are some of those found.
    ///
    /// A message with a place in `copies` (64-byte aligned, as long as the message) is copied there on the way, which
    /// costs less than reading it once more.
    package static func sha256(
        ofAll messages: [UnsafeRawBufferPointer], copies: [UnsafeMutableRawPointer?] = [],
        by instructions: HashInstructions = .found
    ) -> [Digest] {
        precondition(copies.isEmpty || copies.count == messages.count, "each message has a place for its copy, or none")
        precondition(copies.allSatisfy { Int(bitPattern: $0) % 64 == 0 }, "whole blocks are copied to aligned places")
        let copies = copies.isEmpty ? messages.map { _ in nil } : copies
        if instructions.isEmpty {
            return zip(messages, copies).map { message, copy in
                if let copy, let start = message.baseAddress { copy.copyMemory(from: start, byteCount: message.count) }
                return sha256(of: message)
            }
        }
        return stride(from: 0, to: messages.count, by: HashLanes.most).flatMap { start in
            let lanes = start..<min(start + HashLanes.most, messages.count)
            return HashLanes(Array(messages[lanes]), Array(copies[lanes]), instructions).digests()
        }
    }
}

/// Up to sixteen messages that are worked on block by block (FIPS 180-4, §5 and §6.2).
private final class HashLanes {
    static let most = 16
    /// Bytes.
    private static let block = 64
    /// Fewer lanes than that go quicker two by two, where there are instructions for that.
    private static let leastAtOnce = 9
    /// Blocks that are copied at a time where that is not done on the way: they are still in the cache when hashed.
    private static let copied = 1024
    /// H0…H7 at first (§5.3.3).
    private static let start: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]

    private let messages: [UnsafeRawBufferPointer]
    private let copies: [UnsafeMutableRawPointer?]
    private let instructions: HashInstructions
    /// By lane: what is left of the message behind its whole blocks, with the padding (§5.1.1): one block or two.
    private let tails: [UnsafeMutableBufferPointer<UInt8>]
    /// By lane: blocks done.
    private var done: [Int]
    /// [8, 16]: Hi of every lane.
    private let words = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 8 * most)

    init(
        _ messages: [UnsafeRawBufferPointer], _ copies: [UnsafeMutableRawPointer?], _ instructions: HashInstructions
    ) {
        self.messages = messages
        self.copies = copies
        self.instructions = instructions
        tails = messages.map { message in
            var tail = Array(message[(message.count / Self.block * Self.block)...])
            tail.append(0x80)
            while tail.count % Self.block != Self.block - 8 { tail.append(0) }
            withUnsafeBytes(of: (UInt64(message.count) * 8).bigEndian) { tail += $0 }
            let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: tail.count)
            _ = memory.initialize(from: tail)
            return memory
        }
        for (message, copy) in zip(messages, copies) {
            let whole = message.count / Self.block * Self.block
            guard let copy, let start = message.baseAddress, whole < message.count else { continue }
            (copy + whole).copyMemory(from: start + whole, byteCount: message.count - whole)
        }
        done = messages.map { _ in 0 }
        for place in words.indices { words[place] = Self.start[place / Self.most] }
    }

    deinit {
        for tail in tails { tail.deallocate() }
        words.deallocate()
    }

    func digests() -> [Digest] {
        var lanes = Array(messages.indices)
        while !lanes.isEmpty {
            // Lanes that are done make room for the others, so that messages of any lengths go together.
            let now = Array(lanes.prefix(width(lanes.count)))
            let runs = now.map(run)
            var blocks = runs.map(\.blocks).min()!
            if now.count <= 2, instructions.contains(.own) {
                if runs.contains(where: { $0.copy != nil }) { blocks = min(blocks, Self.copied) }
                work(now, runs, blocks)
            } else {
                workAtOnce(now, runs, blocks)
            }
            for lane in now { done[lane] += blocks }
            lanes.removeAll { run($0).blocks == 0 }
        }
        return messages.indices.map { lane in
            let bytes = (0..<8).flatMap { word in
                withUnsafeBytes(of: words[word * Self.most + lane].bigEndian) { Array($0) }
            }
            guard let digest = Digest(bytes: bytes) else { preconditionFailure("SHA-256 always yields 32 bytes.") }
            return digest
        }
    }

    private func width(_ lanes: Int) -> Int {
        guard instructions.contains(.own) else { return Self.most }
        return instructions.contains(.lanes) && lanes >= Self.leastAtOnce ? Self.most : 2
    }

    /// Blocks that lie one after the other, and where they are copied to; nil = nowhere.
    private typealias Run = (start: UnsafePointer<UInt8>, copy: UnsafeMutablePointer<UInt8>?, blocks: Int)

    /// A lane's next blocks.
    private func run(_ lane: Int) -> Run {
        let (message, tail, done) = (messages[lane], tails[lane], done[lane])
        let whole = message.count / Self.block
        if done < whole, let start = message.baseAddress {
            let offset = done * Self.block
            let copy = copies[lane].map { ($0 + offset).assumingMemoryBound(to: UInt8.self) }
            return (start.assumingMemoryBound(to: UInt8.self) + offset, copy, whole - done)
        }
        let first = done - whole
        return (UnsafePointer(tail.baseAddress!) + first * Self.block, nil, tail.count / Self.block - first)
    }

    /// Works in `blocks` blocks of one message or two.
    private func work(_ lanes: [Int], _ runs: [Run], _ blocks: Int) {
        for run in runs { run.copy?.update(from: run.start, count: blocks * Self.block) }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 16) { memory in
            let states: [UnsafeMutablePointer<UInt32>?] = [memory.baseAddress!, memory.baseAddress! + 8]
            for (place, lane) in lanes.enumerated() {
                for word in 0..<8 { memory[8 * place + word] = words[word * Self.most + lane] }
            }
            if lanes.count == 2 {
                ch_sha256_two(states, runs.map(\.start), blocks)
            } else {
                ch_sha256(states[0], runs[0].start, blocks)
            }
            for (place, lane) in lanes.enumerated() {
                for word in 0..<8 { words[word * Self.most + lane] = memory[8 * place + word] }
            }
        }
    }

    /// Works in `blocks` blocks of up to sixteen messages.
    private func workAtOnce(_ lanes: [Int], _ runs: [Run], _ blocks: Int) {
        // What the other lanes work out is not taken: they look at any bytes that are there.
        var data: [UnsafePointer<UInt8>?] = Array(repeating: runs[0].start, count: Self.most)
        var copies: [UnsafeMutablePointer<UInt8>?] = Array(repeating: nil, count: Self.most)
        for (lane, run) in zip(lanes, runs) { (data[lane], copies[lane]) = (run.start, run.copy) }
        let before = Array(words)
        ch_sha256_sixteen(words.baseAddress!, data, copies, blocks)
        for place in words.indices where !lanes.contains(place % Self.most) { words[place] = before[place] }
    }
}
