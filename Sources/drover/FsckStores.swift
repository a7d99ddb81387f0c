import Checkpoints
import CoordinatorShell
import Foundation
import ModelFiles
import StorageShell
import Terms

/// The checkpoint stores below a run, or below a coordinator's state folder, every byte of them read.
///
/// They are those of the folders that exist, not those that a journal names, and each is walked on its own: damage of
/// one, or of the journal, hides nothing of the others.
struct FsckStores {
    /// Objects in all stores together.
    private(set) var objects = 0
    /// What is wrong with them, a sentence each.
    private(set) var findings: [String] = []
    /// Damaged files that a run has gone on without and that are kept beside: told, and no fault any more.
    private(set) var setAside: [String] = []
    private var stores: [(job: JobID, content: JournalAudit.Stored?)] = []

    /// Walks the store of the run in `folder`, or those of all jobs of the coordinator whose state it is.
    init(_ folder: String, isRun: Bool) {
        if isRun {
            walk(RunDoor.job, in: folder)
        } else {
            let jobs = joinPath(folder, "jobs")
            for job in listed(jobs) { walk(job, in: joinPath(jobs, "\(job)")) }
        }
    }

    /// Those that have a store.
    var jobs: [JobID] { stores.map(\.job) }

    /// What is in a job's store: nothing, where it has none; nil = it can't be read, which is among the findings.
    func content(of job: JobID) -> JournalAudit.Stored? {
        guard let store = stores.first(where: { $0.job == job }) else { return ([], []) }
        return store.content
    }

    /// Jobs that have a folder in `folder`, ascending.
    private mutating func listed(_ folder: String) -> [JobID] {
        guard Disk.hasFolder(folder) else { return [] }
        do {
            let numbers = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { name in
                UInt32(name).flatMap { String($0) == name ? $0 : nil }
            }
            return numbers.sorted().map { JobID($0) }
        } catch {
            findings.append("\(folder) can't be listed: \(Failure.sentence(error))")
            return []
        }
    }

    private mutating func walk(_ job: JobID, in folder: String) {
        let path = joinPath(folder, "checkpoints")
        guard Disk.hasFolder(path) else { return }
        var content = Self.content(of: path)
        do throws(StorageError) {
            let report = try CheckpointStore.verify(path)
            objects += report.objects
            findings += report.findings.map { "\(path)/\($0.path): \($0.problem)" }
            findings += report.unusable.map { "checkpoint \($0) of job \(job) can't be used" }
            setAside += report.setAside.map { "\(path)/\($0)" }
            // The journal may name one of them: where it is has been said.
            content?.damaged += report.stepsAside(of: RunFolder.run)
        } catch { findings.append(Failure.sentence(error)) }
        stores.append((job, content))
    }

    /// What can be held against the journal; why a store can't be opened is told when it is verified.
    private static func content(of path: String) -> JournalAudit.Stored? {
        guard let scan = try? CheckpointStore.openReading(path).scan(RunFolder.run) else { return nil }
        return (scan.records, scan.rejected.compactMap { ManifestName($0.name)?.step })
    }
}
