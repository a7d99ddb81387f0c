import ArgumentParser
import Coordination
import CoordinatorShell
import Foundation
import ModelFiles
import StorageShell
import Terms

/// `drover fsck`: reads everything that was ever promised to be there.
struct Fsck: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Walks the journal's chain, every ledger, manifest and object, and says what is wrong.",
        discussion:
            "Changes nothing; exit code 1 when anything is wrong. The run, or its coordinator, must not be running.")
    @Argument(help: "A run directory, or a coordinator's --state folder.")
    var folder: String
    @Flag(help: "JSON on standard output.")
    var json = false

    func run() throws {
        let isRun = Disk.hasFile(joinPath(folder, "state/journal.sqlite"))
        let state = isRun ? joinPath(folder, "state") : folder
        guard Disk.hasFile(joinPath(state, "journal.sqlite")) else {
            throw Failure.input("\(folder) holds no journal: give a run directory or a coordinator's --state folder")
        }
        var findings: [String] = []
        var objects = 0
        func store(_ job: JobID) -> String { joinPath(isRun ? folder : joinPath(folder, "jobs/\(job)"), "checkpoints") }
        do {
            let audit = try JournalAudit(state)
            for job in audit.core.jobs where Disk.hasFolder(store(job.id)) {
                let report = try CheckpointStore.verify(store(job.id))
                objects += report.objects
                findings += report.findings.map { "\(store(job.id))/\($0.path): \($0.problem)" }
                findings += report.unusable.map { "checkpoint \($0) of job \(job.id) can't be used" }
            }
            findings += try audit.faults {
                Disk.hasFolder(store($0)) ? try CheckpointStore.openReading(store($0)) : nil
            }
        } catch StorageError.file(.locked(let path, _)) {
            throw Failure.input("\(path) is in use: stop the run or the coordinator first")
        } catch { findings.append(Failure.sentence(error)) }
        if json {
            Output.json(
                .members([
                    "sound": .bool(findings.isEmpty), "objects": .int(objects),
                    "findings": .array(findings.map(JSONValue.string)),
                ]))
        } else {
            for finding in findings { Output.line(finding) }
            Output.line(
                findings.isEmpty
                    ? "journal, ledgers, manifests and \(objects) objects: sound" : "\(findings.count) found")
        }
        if !findings.isEmpty { throw Failure.ended(code: 1) }
    }
}
