package import Coordination
import Foundation
import Terms

/// A large file that arrives block by block: what is in it is in it at its place, and has the digest that the job
/// names.
///
/// Beside it lies a bitmap of the blocks that an earlier life of this worker stored; they are believed when they are
/// checked again. The reactor stores, the engine waits.
package final class BlockFile: @unchecked Sendable {
    package let file: JobFile
    package let table: BlockTable
    /// Where it lies until it is whole. Who has it open then keeps it.
    package let path: String
    private let descriptor: Int32
    private let bitmap: Int32
    /// Wakes whoever fetches, after `takeWanted` would give something or a claim turned out false.
    private let wake: @Sendable () -> Void

    /// Guards all below.
    private let condition = NSCondition()
    private var stored: Bitmap
    /// What the bitmap of an earlier life says, as long as it was not checked.
    private var claimed: Bitmap
    private var wanted: [Int] = []
    private var missing: Int
    private var isGivenUp = false

    /// Opens the file, or makes it, with holes where nothing is.
    package init(_ file: JobFile, _ table: BlockTable, path: String, wake: @escaping @Sendable () -> Void) throws {
        (self.file, self.table, self.path, self.wake) = (file, table, path, wake)
        descriptor = try Self.open(path)
        bitmap = try Self.open(Self.bitmapPath(path))
        missing = table.count
        stored = Bitmap(count: table.count)
        var bytes = [UInt8](repeating: 0, count: stored.bytes.count)
        let known = pread(bitmap, &bytes, bytes.count, 0)
        // Of another file's length it is no bitmap of this one.
        let isOurs = known == bytes.count && lseek(descriptor, 0, SEEK_END) == file.size
        claimed = Bitmap(count: table.count, bytes: isOurs ? bytes : [])
        guard ftruncate(descriptor, off_t(file.size)) == 0 else { throw Self.problem(path) }
        if !isOurs {
            guard ftruncate(bitmap, 0) == 0, ftruncate(bitmap, off_t(bytes.count)) == 0 else {
                throw Self.problem(path)
            }
        }
    }

    deinit {
        close(descriptor)
        close(bitmap)
    }

    static func bitmapPath(_ path: String) -> String { path + ".have" }

    private static func open(_ path: String) throws -> Int32 {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw problem(path) }
        return descriptor
    }

    private static func problem(_ path: String) -> LoadProblem {
        LoadProblem(description: "can't write \(path): \(String(cString: strerror(errno)))")
    }

    private func locked<Value>(_ body: () throws -> Value) rethrows -> Value {
        condition.lock()
        defer { condition.unlock() }
        return try body()
    }

    package var isWhole: Bool { locked { missing == 0 } }
    /// Blocks that are here.
    package var storedCount: Int { locked { table.count - missing } }
    package func has(_ block: Int) -> Bool { locked { stored[block] } }
    /// Whether an earlier life says that it stored the block, and nobody has looked yet.
    package func claims(_ block: Int) -> Bool { locked { claimed[block] } }

    /// Stores a block; false when these are not its bytes: nothing is written then.
    package func store(_ block: Int, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
        guard table.isBlock(block, bytes) else { return false }
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done,
                off_t(table.range(of: block).lowerBound + done))
            guard count > 0 || errno == EINTR else { throw Self.problem(path) }
            done += max(0, count)
        }
        note(block)
        return true
    }

    /// Looks whether a block that an earlier life stored is what it should be; false = it must be fetched.
    package func confirm(_ block: Int) -> Bool {
        let isRight = bytes(of: block).map { bytes in bytes.withUnsafeBytes { table.isBlock(block, $0) } } ?? false
        if isRight { note(block) } else { locked { claimed[block] = false } }
        return isRight
    }

    /// Looks at all that an earlier life stored, in order.
    func confirmAll() {
        for block in 0..<table.count where claims(block) && !locked({ isGivenUp }) { _ = confirm(block) }
        wake()
    }

    private func note(_ block: Int) {
        locked {
            guard !stored[block] else { return }
            stored[block] = true
            claimed[block] = false
            missing -= 1
            // A bit that is lost costs one block.
            var byte = stored.bytes[block / 8] | claimed.bytes[block / 8]
            _ = pwrite(bitmap, &byte, 1, off_t(block / 8))
            condition.broadcast()
        }
    }

    /// What lies at a block's place.
    private func bytes(of block: Int) -> [UInt8]? {
        let range = table.range(of: block)
        var bytes = [UInt8](repeating: 0, count: range.count)
        return pread(descriptor, &bytes, bytes.count, off_t(range.lowerBound)) == bytes.count ? bytes : nil
    }

    /// The bytes of a block that is here.
    package func read(_ block: Int) -> [UInt8]? { has(block) ? bytes(of: block) : nil }

    /// Nobody fetches any more: who waits gets a no.
    package func giveUp() {
        locked {
            isGivenUp = true
            condition.broadcast()
        }
    }

    /// Waits until all these blocks are here, asking for them; false when it was given up, or when `goesOn`, asked
    /// meanwhile, says so.
    package func wait(for blocks: some Sequence<Int>, goesOn: () -> Bool = { true }) -> Bool {
        let blocks = Array(blocks)
        for block in blocks where claims(block) { _ = confirm(block) }
        let isAsked = locked {
            wanted = missing == 0 ? [] : blocks.filter { !stored[$0] }
            return !wanted.isEmpty
        }
        guard isAsked else { return true }
        wake()
        while goesOn() {
            let (isHere, isOver) = locked {
                if !isGivenUp, !blocks.allSatisfy({ stored[$0] }) {
                    _ = condition.wait(until: Date().addingTimeInterval(0.02))
                }
                return (blocks.allSatisfy { stored[$0] }, isGivenUp)
            }
            if isHere || isOver { return isHere }
        }
        return false
    }

    /// What somebody waits for since the last call.
    package func takeWanted() -> [Int] {
        locked {
            defer { wanted = [] }
            return wanted
        }
    }
}

/// One bit for each of `count` things.
struct Bitmap {
    private(set) var bytes: [UInt8]

    /// - Parameter bytes: of an earlier one; too few count as zeros.
    init(count: Int, bytes: [UInt8] = []) {
        self.bytes = bytes + [UInt8](repeating: 0, count: max(0, (count + 7) / 8 - bytes.count))
    }

    subscript(index: Int) -> Bool {
        get { bytes[index / 8] & 1 << (index % 8) != 0 }
        set { if newValue { bytes[index / 8] |= 1 << (index % 8) } else { bytes[index / 8] &= ~(1 << (index % 8)) } }
    }
}
