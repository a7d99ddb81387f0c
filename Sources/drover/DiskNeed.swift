import Foundation
import JobSpecs

/// What a job's checkpoints take on the disk.
enum DiskNeed {
    /// Bytes of the checkpoints that a job keeps, three vectors of fp32 each, with the one that is being made and the
    /// last one that was read back whole.
    static func bytes(_ spec: JobSpec, parameters: Int) -> Int {
        12 * parameters * (max(2, spec.saveTotalLimit) + 2 + spec.saveBest)
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
