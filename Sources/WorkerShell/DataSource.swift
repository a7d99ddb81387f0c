import Datasets
import Foundation

/// Where a job's data lie on this machine: in a file that is whole, or in one that still arrives.
struct DataSource: Sendable {
    let path: String
    let blocks: BlockFile?

    var isArriving: Bool { blocks?.isWhole == false }

    /// The blocks that hold these sequences, each once, in order of need.
    func blocks(of sequences: some Sequence<some BinaryInteger>, _ set: SequenceSet) -> [Int] {
        var seen: Set<Int> = []
        return sequences.flatMap { set.places(of: Int($0)) }.flatMap { BlockTable.blocks(holding: $0) }.filter {
            seen.insert($0).inserted
        }
    }

    /// Waits until these sequences are here; false when they are not and `goesOn` says so.
    func wait(for sequences: some Sequence<some BinaryInteger>, of set: SequenceSet, goesOn: () -> Bool) -> Bool {
        guard isArriving, let file = blocks else { return true }
        return file.wait(for: blocks(of: sequences, set), goesOn: goesOn)
    }

    /// The bytes of a block, for a peer; nil when they are not here.
    func read(_ range: Range<Int>) -> [UInt8]? {
        guard range.count <= BlockTable.blockBytes else { return nil }
        if let blocks {
            let (block, rest) = range.lowerBound.quotientAndRemainder(dividingBy: BlockTable.blockBytes)
            return rest == 0 && block < blocks.table.count && blocks.table.range(of: block) == range
                ? blocks.read(block) : nil
        }
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        do {
            try file.seek(toOffset: UInt64(range.lowerBound))
            let bytes = try file.read(upToCount: range.count) ?? Data()
            return bytes.count == range.count ? [UInt8](bytes) : nil
        } catch { return nil }
    }
}
