import ArgumentParser
import Coordination
import CoordinatorShell
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
        let audit = try journal(in: state)
        let stores = FsckStores(folder, isRun: isRun)
        let faults = audit.faults(of: stores.jobs) { stores.content(of: $0) }
        let findings = faults + stores.findings + (isRun ? jobFile(audit.job(RunDoor.job)) : [])
        show(findings, stores)
        if !findings.isEmpty { throw Failure.ended(code: 1) }
    }

    private func journal(in state: String) throws -> JournalAudit {
        do { return try JournalAudit(state) } catch StorageError.file(.locked(let path, _)) {
            throw Failure.input("\(path) is in use: stop the run or the coordinator first")
        }
    }

    /// What is wrong with the job file that a run keeps: a resume begins with it, and would be refused.
    private func jobFile(_ run: JobRun?) -> [String] {
        // What is damaged of the journal has been found already.
        guard let job = run?.description else { return [] }
        let file = joinPath(folder, "resolved.yaml")
        do {
            let kept = job.withResultKeys(of: try RunFolder(folder).spec)
            return ResumeDifference(from: job, to: kept).sentences.map {
                "\(file) is not of the run that the journal is about: \($0)"
            }
        } catch { return [Failure.sentence(error)] }
    }

    private func show(_ findings: [String], _ stores: FsckStores) {
        guard !json else {
            return Output.json(
                .members([
                    "sound": .bool(findings.isEmpty), "objects": .int(stores.objects),
                    "findings": .array(findings.map(JSONValue.string)),
                    "set_aside": .array(stores.setAside.map(JSONValue.string)),
                ]))
        }
        for finding in findings { Output.line(finding) }
        for file in stores.setAside { Output.line("\(file): damaged, was set aside") }
        Output.line(
            findings.isEmpty
                ? "journal, ledgers, manifests and \(stores.objects) objects: sound" : "\(findings.count) found")
    }
}
