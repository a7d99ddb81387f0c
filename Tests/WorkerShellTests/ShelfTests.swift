import CSystem
import Glibc
import Testing
import Wire

@testable import WorkerShell

/// Sender and readers in one process: they meet through /proc as two would.
@Suite struct ShelfTests {
    private static func bytes(_ value: UInt8, _ count: Int = 5000) -> [UInt8] { Array(repeating: value, count: count) }

    private static func read(_ places: Shelf, _ place: ShelfPlace) -> [UInt8]? {
        var found: [UInt8] = []
        return places.take(place) { found = Array($0) } ? found : nil
    }

    @Test func `what one puts on the shelf another reads, once`() throws {
        let sender = try #require(Shelf.make(nonce: 7))
        let offer = sender.offer(to: 3)
        #expect(!sender.isOpen(to: 3))
        let reader = try #require(Shelf.open(offer))
        #expect(sender.isOpen(to: 3) && !sender.isOpen(to: 2))

        let place = try #require(sender.put(Self.bytes(9), 5000, for: 1 << 3))
        #expect(Self.read(reader, place) == Self.bytes(9))
        #expect(Self.read(reader, place) == nil)
    }

    @Test func `a place is free when its last reader has read it`() throws {
        let sender = try #require(Shelf.make(nonce: 7))
        let readers = try (0..<2).map { try #require(Shelf.open(sender.offer(to: $0))) }
        let places = (0..<ShelfPlace.places).compactMap { sender.put(Self.bytes(UInt8($0)), 100, for: 0b11) }
        #expect(places.count == Int(ShelfPlace.places))
        #expect(!readers[0].isWaitedFor())
        #expect(sender.put(Self.bytes(1), 100, for: 0b11) == nil)
        #expect(Self.read(readers[0], places[5]) == Self.bytes(5, 100))
        #expect(sender.put(Self.bytes(1), 100, for: 0b11) == nil)
        #expect(Self.read(readers[1], places[5]) == Self.bytes(5, 100))
        for place in places.suffix(7) {
            #expect(!readers[0].isWaitedFor() && !readers[1].isWaitedFor())
            for reader in readers { #expect(Self.read(reader, place) != nil) }
        }
        #expect(readers[0].isWaitedFor() && !readers[1].isWaitedFor())

        let again = try #require(sender.put(Self.bytes(77), 100, for: 0b01))
        #expect(again.place == 5 && again.turn == places[5].turn + 1)
        // What is left of the earlier message names another turn.
        #expect(Self.read(readers[0], places[5]) == nil)
        #expect(Self.read(readers[0], again) == Self.bytes(77, 100))
    }

    @Test func `a reader that is forgotten holds no place`() throws {
        let sender = try #require(Shelf.make(nonce: 7))
        let reader = try #require(Shelf.open(sender.offer(to: 1)))
        let places = (0..<ShelfPlace.places).compactMap { _ in sender.put(Self.bytes(1), 10, for: 0b10) }
        #expect(sender.put(Self.bytes(2), 10, for: 0b10) == nil)

        sender.forget(1, at: places[3])
        #expect(sender.put(Self.bytes(2), 10, for: 0b10)?.place == 3)
        sender.forget(1)
        #expect(Self.read(reader, places[0]) == nil)
        #expect(sender.put(Self.bytes(2), 10, for: 0b10)?.place == 0)
    }

    @Test func `a reader that lets go is seen to`() throws {
        let sender = try #require(Shelf.make(nonce: 7))
        var reader = Shelf.open(sender.offer(to: 0))
        #expect(reader != nil && !sender.isLetGo(by: 0))
        reader = nil
        #expect(sender.isLetGo(by: 0) && !sender.isOpen(to: 0))
        _ = sender.offer(to: 0)
        #expect(!sender.isLetGo(by: 0))
    }

    @Test func `nothing but the memory that was offered is opened`() throws {
        let sender = try #require(Shelf.make(nonce: 7))
        var offer = sender.offer(to: 0)
        offer.nonce = 8
        #expect(Shelf.open(offer) == nil)
        offer.nonce = 7
        offer.process = 0x7FFF_FFFF
        #expect(Shelf.open(offer) == nil)
        var pipe: [Int32] = [0, 0]
        #expect(Glibc.pipe(&pipe) == 0)
        defer { for end in pipe { close(end) } }
        let other = ShelfOffer(process: UInt32(getpid()), descriptor: UInt32(pipe[0]), reader: 0, nonce: 7)
        #expect(Shelf.open(other) == nil)
    }

    @Test func `memory of another size is not read, and nobody can cut the shelf short`() throws {
        let small = csys_sealed_memory("drover-chunks", 4096)
        defer { close(small) }
        let other = ShelfOffer(process: UInt32(getpid()), descriptor: UInt32(small), reader: 0, nonce: 0)
        #expect(Shelf.open(other) == nil)

        let sender = try #require(Shelf.make(nonce: 7))
        let descriptor = Int32(sender.offer(to: 0).descriptor)
        #expect(ftruncate(descriptor, 4096) == -1 && errno == EPERM)
    }
}
