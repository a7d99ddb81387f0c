import Terms
import Testing
import Wire

@Suite struct ShelfMessagesTests {
    private let offer = ShelfOffer(process: 70_000, descriptor: 19, reader: 31, nonce: 0x0102_0304_0506_0708)
    private let place = ShelfPlace(nonce: 0x0102_0304_0506_0708, place: 15, turn: .max, count: 262_144)

    @Test func `an offer and a place are one with their bytes`() throws {
        #expect(try ShelfOffer(decoding: offer.encoded()) == offer)
        #expect(try ShelfPlace(decoding: place.encoded()) == place)
    }

    @Test func `any other length is an error`() {
        for count in 0..<20 {
            #expect(throws: ByteError.self) { try ShelfOffer(decoding: Array(offer.encoded()[..<count])) }
            #expect(throws: ByteError.self) { try ShelfPlace(decoding: Array(place.encoded()[..<count])) }
        }
        #expect(throws: ByteError.trailing) { try ShelfOffer(decoding: offer.encoded() + [0]) }
        #expect(throws: ByteError.trailing) { try ShelfPlace(decoding: place.encoded() + [0]) }
    }

    @Test func `a reader, a place or a size that no shelf has is refused`() {
        let reader = ShelfOffer(process: 1, descriptor: 1, reader: ShelfOffer.readers, nonce: 1)
        let beyond = ShelfPlace(nonce: 1, place: ShelfPlace.places, turn: 1, count: 1)
        let large = ShelfPlace(nonce: 1, place: 0, turn: 1, count: UInt32(WireLimits.chunkBytes) + 1)

        #expect(throws: ByteError.invalid("reader")) { try ShelfOffer(decoding: reader.encoded()) }
        #expect(throws: ByteError.invalid("place")) { try ShelfPlace(decoding: beyond.encoded()) }
        #expect(throws: ByteError.invalid("count")) { try ShelfPlace(decoding: large.encoded()) }
    }
}
