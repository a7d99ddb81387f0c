import CSystem
import Glibc
import Wire

/// Memory that a worker and its peers on the same machine all map, for chunks on their way to them: copied once, by us,
/// instead of into the kernel's socket buffers and out of them; what goes to several lies there once.
///
/// The sender makes it and offers it to each reader; a reader opens it through /proc, checks it, and says so in the
/// memory itself. Until then, and wherever that fails (another machine, container or user), chunks travel as bytes. A
/// place is full from the sender's write until its last reader has read it. A sender that finds none free says that it
/// waits; the reader by whom half of them have become free then sends `.room`. Nobody can shrink the memory, so that
/// reading it never traps; its contents are looked at like any bytes from outside.
final class Shelf {
    /// Head: nonce at 0; "sender waits" at 64; from 256 on a word a reader, 1 = has it open, 2 = has let go; from 512
    /// on a word a place, the bits of those who have yet to read it; from 1024 on a word a place, its turn.
    private enum Layout {
        static let (waits, readers, places, turns, head) = (64, 256, 512, 1024, 4096)
        static let placeBytes = WireLimits.chunkBytes
        static let count = Int(ShelfPlace.places)
        static let bytes = head + count * placeBytes
    }
    private static let name = "drover-chunks"

    let nonce: UInt64
    private let memory: UnsafeMutableRawPointer
    /// The maker's, through which others open it.
    private let descriptor: Int32?
    /// Who this is among the readers; nil = the sender.
    private let reader: Int?

    private init(_ memory: UnsafeMutableRawPointer, nonce: UInt64, descriptor: Int32?, reader: Int?) {
        (self.memory, self.nonce, self.descriptor, self.reader) = (memory, nonce, descriptor, reader)
    }

    deinit {
        if let reader { csys_store(word(Layout.readers, reader), 2) }
        munmap(memory, Layout.bytes)
        if let descriptor { close(descriptor) }
    }

    private static func map(_ descriptor: Int32) -> UnsafeMutableRawPointer? {
        let memory = mmap(nil, Layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        return memory == MAP_FAILED ? nil : memory
    }

    private func word(_ start: Int, _ index: Int = 0) -> UnsafeMutablePointer<UInt32> {
        (memory + start + 4 * index).assumingMemoryBound(to: UInt32.self)
    }

    private func start(_ place: Int) -> UnsafeMutableRawPointer { memory + Layout.head + place * Layout.placeBytes }

    // MARK: The sender's side

    /// Empty places; nil where the kernel gives no such memory.
    static func make(nonce: UInt64) -> Shelf? {
        let descriptor = csys_sealed_memory(name, UInt64(Layout.bytes))
        guard descriptor >= 0 else { return nil }
        guard let memory = map(descriptor) else {
            close(descriptor)
            return nil
        }
        memory.storeBytes(of: nonce.littleEndian, as: UInt64.self)
        return Shelf(memory, nonce: nonce, descriptor: descriptor, reader: nil)
    }

    /// What a peer needs to open it as reader `reader`, who has nothing to read yet.
    func offer(to reader: Int) -> ShelfOffer {
        guard let descriptor else { preconditionFailure("only its maker offers a shelf") }
        forget(reader)
        csys_store(word(Layout.readers, reader), 0)
        return ShelfOffer(
            process: UInt32(getpid()), descriptor: UInt32(descriptor), reader: UInt32(reader), nonce: nonce)
    }

    /// True while the reader has it open.
    func isOpen(to reader: Int) -> Bool { csys_load(word(Layout.readers, reader)) == 1 }

    /// True when the reader has let go of it: it has to be offered again.
    func isLetGo(by reader: Int) -> Bool { csys_load(word(Layout.readers, reader)) == 2 }

    /// Nothing waits for this reader any more.
    func forget(_ reader: Int) { for place in 0..<Layout.count { csys_clear(word(Layout.places, place), 1 << reader) } }

    /// One chunk no longer waits for this reader.
    func forget(_ reader: Int, at place: ShelfPlace) { csys_clear(word(Layout.places, Int(place.place)), 1 << reader) }

    /// Puts bytes on the first free place for these readers (a bit each); nil = all are full, and they know that
    /// somebody waits.
    func put(_ payload: UnsafeRawPointer, _ count: Int, for readers: UInt32) -> ShelfPlace? {
        precondition(count <= Layout.placeBytes && readers != 0, "a place holds one chunk, for somebody")
        guard let place = firstFree ?? firstFreeAfterAsking() else { return nil }
        start(place).copyMemory(from: payload, byteCount: count)
        let turn = csys_load(word(Layout.turns, place)) &+ 1
        csys_store(word(Layout.turns, place), turn)
        csys_store(word(Layout.places, place), readers)
        return ShelfPlace(nonce: nonce, place: UInt32(place), turn: turn, count: UInt32(count))
    }

    /// Low places first: they are still in the processor's cache.
    private var firstFree: Int? { (0..<Layout.count).first { csys_load(word(Layout.places, $0)) == 0 } }

    /// Says that it waits and looks again: a reader may have made room before it could read that.
    private func firstFreeAfterAsking() -> Int? {
        csys_store(word(Layout.waits), 1)
        return firstFree
    }

    // MARK: The reader's side

    /// The memory that a process of this machine offers; nil when it can't be opened or is something else.
    static func open(_ offer: ShelfOffer) -> Shelf? {
        let path = "/proc/\(offer.process)/fd/\(offer.descriptor)"
        // A look first: to open a device or a pipe would do something.
        var target = [CChar](repeating: 0, count: 64)
        let length = readlink(path, &target, target.count - 1)
        let link = String(decoding: target.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard link.hasPrefix("/memfd:\(name)") else { return nil }
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard csys_is_sealed_memory(descriptor, UInt64(Layout.bytes)) == 1, let memory = map(descriptor) else {
            return nil
        }
        guard UInt64(littleEndian: memory.load(as: UInt64.self)) == offer.nonce else {
            munmap(memory, Layout.bytes)
            return nil
        }
        let shelf = Shelf(memory, nonce: offer.nonce, descriptor: nil, reader: Int(offer.reader))
        csys_store(shelf.word(Layout.readers, Int(offer.reader)), 1)
        return shelf
    }

    /// Reads a place and leaves it; false when nothing of this turn waits there for this reader.
    func take(_ place: ShelfPlace, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard let reader else { preconditionFailure("a sender reads nothing") }
        let number = Int(place.place)
        guard place.nonce == nonce, csys_load(word(Layout.places, number)) & (1 << reader) != 0,
            csys_load(word(Layout.turns, number)) == place.turn
        else { return false }
        body(UnsafeRawBufferPointer(start: start(number), count: Int(place.count)))
        csys_clear(word(Layout.places, number), 1 << reader)
        return true
    }

    /// True once after the sender began to wait, when half of the places are free: it is not woken for one chunk.
    func isWaitedFor() -> Bool {
        guard csys_load(word(Layout.waits)) == 1,
            (0..<Layout.count).count(where: { csys_load(word(Layout.places, $0)) == 0 }) >= Layout.count / 2
        else { return false }
        csys_store(word(Layout.waits), 0)
        return true
    }
}
