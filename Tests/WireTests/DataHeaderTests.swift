import Collectives
import Terms
import Testing
import Wire

@Suite struct DataHeaderTests {
    private var sample: DataHeader {
        var header = DataHeader(
            kind: .node, job: JobID(3), generation: Generation(9), step: 77, offset: 4096, count: 65536,
            sender: Samples.node)
        header.role = 2
        header.attempt = 5
        header.shards = ShardRange(4, 6)
        header.recipeTag = 0x0102_0304_0506_0708
        header.lossSum = 12.5
        return header
    }

    @Test func `a header and its bytes are one and of fixed size`() throws {
        let bytes = sample.encoded()

        #expect(bytes.count == DataHeader.size)
        #expect(try DataHeader(decoding: bytes) == sample)
    }

    @Test func `a header of any other length is an error`() {
        let bytes = sample.encoded()

        for count in 0..<bytes.count {
            #expect(throws: ByteError.self) { try DataHeader(decoding: Array(bytes[..<count])) }
        }
        #expect(throws: ByteError.trailing) { try DataHeader(decoding: bytes + [0]) }
    }

    @Test func `a header with any byte changed is another header or an error`() {
        let bytes = sample.encoded()
        for index in bytes.indices {
            for value in UInt8.min...UInt8.max where value != bytes[index] {
                var changed = bytes
                changed[index] = value
                if let header = try? DataHeader(decoding: changed) { #expect(header.encoded() == changed) }
            }
        }
    }

    @Test func `a range that runs over the end of the numbers is refused`() {
        var header = sample
        header.offset = .max - 10
        header.count = 11

        #expect(throws: ByteError.invalid("range")) { try DataHeader(decoding: header.encoded()) }
    }

    @Test func `a part of the state that does not exist is refused`() {
        var header = sample
        header.role = 3

        #expect(throws: ByteError.invalid("role")) { try DataHeader(decoding: header.encoded()) }
    }
}
