import Collectives
import Terms
import Testing

@testable import Wire

@Suite struct MessageTests {
    @Test(arguments: Samples.all)
    func `a message and its bytes are one`(message: Message) throws {
        let bytes = message.encoded()

        #expect(try Message(decoding: bytes) == message)
        #expect(try Message(decoding: bytes).encoded() == bytes)
    }

    @Test func `every kind of message is among the samples and has a tag of its own`() {
        let tags = Samples.all.map { $0.encoded()[8] }

        #expect(Set(tags).count == tags.count)
        // A new kind must come with a sample: 256 possible tags, exactly these are taken.
        for tag in UInt8.min...UInt8.max where !tags.contains(tag) {
            #expect(throws: ByteError.invalid("Tag")) {
                try Message(decoding: [0x44, 0x52, 0x56, 0x31, 0, 0, 0, 0, tag])
            }
        }
    }

    @Test(arguments: Samples.all)
    func `a message cut anywhere is an error`(message: Message) {
        let bytes = message.encoded()

        for count in 0..<bytes.count {
            #expect(throws: ByteError.self) { try Message(decoding: Array(bytes[..<count])) }
        }
        #expect(throws: ByteError.trailing) { try Message(decoding: bytes + [0]) }
    }

    @Test(arguments: Samples.all)
    func `a message with any byte changed is another message or an error`(message: Message) {
        let bytes = message.encoded()

        for index in bytes.indices {
            for value in Set([0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, bytes[index] ^ 1, bytes[index] &+ 1])
            where value != bytes[index] {
                var changed = bytes
                changed[index] = value
                if let other = try? Message(decoding: changed) {
                    #expect(other.encoded(number: Message.number(of: changed)) == changed)
                }
            }
        }
    }

    @Test func `any bytes give a message or an error`() {
        let random = Philox(seed: 21, purpose: .probe)
        let tags = Samples.all.map { $0.encoded()[8] }
        for trial in 0..<6000 {
            let base = UInt64(trial) << 20
            let count = Int(random.below(160, base))
            let kind = tags[Int(random.below(UInt64(tags.count), base + 1))]
            // Small numbers are what counts and lengths look like.
            let body = (0..<count).map { place -> UInt8 in
                let bits = random.bits(base + 2 + UInt64(place))
                return bits & 0x300 == 0 ? UInt8(truncatingIfNeeded: bits) : UInt8(truncatingIfNeeded: bits & 3)
            }
            let bytes = [0x44, 0x52, 0x56, 0x31, 0, 0, 0, 0, kind] + body
            if let message = try? Message(decoding: bytes) { #expect(message.encoded() == bytes) }
        }
    }

    @Test func `a message carries its number`() throws {
        let bytes = Message.goodbye.encoded(number: 0xA1B2_C3D4)

        #expect(Message.number(of: bytes) == 0xA1B2_C3D4)
        #expect(Message.number(of: Message.goodbye.encoded()) == 0 && Message.number(of: []) == 0)
        #expect(try Message(decoding: bytes) == .goodbye)
    }

    @Test func `another magic is refused`() {
        var bytes = Message.goodbye.encoded()
        bytes[3] = 0x32

        #expect(throws: ByteError.invalid("magic")) { try Message(decoding: bytes) }
    }

    @Test func `a message above the limit is refused unread`() {
        let bytes = [UInt8](repeating: 0, count: WireLimits.controlBytes + 1)

        #expect(throws: ByteError.tooLong) { try Message(decoding: bytes) }
    }

    @Test func `a long text is cut so that the reader takes it`() throws {
        let message = Message.refuse(Refusal(code: .full, text: String(repeating: "ä", count: 5000)))

        guard case .refuse(let refusal) = try Message(decoding: message.encoded()) else {
            Issue.record("another message came back")
            return
        }
        #expect(refusal.text.allSatisfy { $0 == "ä" } && !refusal.text.isEmpty)
    }

    @Test func `a long text of large characters is cut so that the reader takes it`() {
        let message = Message.refuse(Refusal(code: .full, text: String(repeating: "👨‍👩‍👧‍👦", count: 1024)))

        #expect(throws: Never.self) { try Message(decoding: message.encoded()) }
    }

    @Test func `a roster whose source is no member is refused`() {
        var roster = Samples.roster
        roster.sources = [2]

        #expect(throws: ByteError.invalid("source rank")) { try Message(decoding: Message.begin(roster).encoded()) }
    }

    @Test func `an evaluation with another number of sums than shards is refused`() {
        let result = EvaluationResult(order: Samples.evaluation, lossSums: [1], tokens: [1])
        let uneven = EvaluationResult(order: Samples.evaluation, lossSums: [1, 2], tokens: [1])

        for wrong in [result, uneven] {
            #expect(throws: ByteError.invalid("evaluation")) {
                try Message(decoding: Message.evaluated(wrong).encoded())
            }
        }
    }

    @Test func `a range that ends before it starts is refused`() {
        var bytes = Message.save(Samples.save).encoded()
        // The last sixteen bytes are the range.
        bytes.replaceSubrange(bytes.count - 8..<bytes.count, with: [0, 0, 0, 0, 0, 0, 0, 0])

        #expect(throws: ByteError.invalid("range")) { try Message(decoding: bytes) }
    }
}
