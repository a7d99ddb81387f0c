import Foundation
import JobSpecs
import Terms

/// What a job's checkpoints take on the disk.
enum DiskNeed {
    /// Bytes of the checkpoints that a job keeps which makes the steps of a range, three vectors of fp32 each, with the
    /// one that is being made and the last one that was read back whole.
    static func bytes(_ spec: JobSpec, parameters: Int, steps: Range<Step>) -> Int {
        12 * parameters * (max(2, spec.saveTotalLimit) + 2 + spec.saveBest + milestones(spec, steps: steps))
    }

    /// Bytes that the job's checkpoints take beyond those in `store`: at least the next one's, in whole blocks, however
    /// many are there. They may be pinned ones, which make no room for it.
    static func more(_ spec: JobSpec, parameters: Int, steps: Range<Step>, beyond store: String) -> Int {
        let next = 12 * parameters + 12 * parameters / 50
        return max(next, bytes(spec, parameters: parameters, steps: steps) - taken(by: store))
    }

    /// Checkpoints of a range of steps that `save_every` keeps, at most a million; what `save_interval` adds to them by
    /// chance is not counted.
    static func milestones(_ spec: JobSpec, steps: Range<Step>) -> Int {
        guard spec.saveEvery > 0, spec.saveSteps > 0, !steps.isEmpty else { return 0 }
        var (divisor, rest) = (spec.saveSteps, spec.saveEvery)
        while rest > 0 { (divisor, rest) = (rest, divisor % rest) }
        let (multiple, isTooFar) = (spec.saveSteps / divisor).multipliedReportingOverflow(by: spec.saveEvery)
        return isTooFar ? 0 : min((steps.upperBound - 1) / multiple - (steps.lowerBound - 1) / multiple, 1_000_000)
    }

    /// Bytes of the objects that a checkpoint store holds already, 0 without one.
    static func taken(by store: String) -> Int {
        guard
            let files = FileManager.default.enumerator(
                at: URL(fileURLWithPath: "\(store)/objects"), includingPropertiesForKeys: [.fileSizeKey])
        else { return 0 }
        return files.reduce(0) { sum, file in
            sum + (((file as? URL)?.resourceValues(forKey: .fileSizeKey)) ?? 0)
        }
    }
}

extension URL {
    fileprivate func resourceValues(forKey key: URLResourceKey) -> Int? {
        (try? resourceValues(forKeys: [key]))?.fileSize
    }
}
