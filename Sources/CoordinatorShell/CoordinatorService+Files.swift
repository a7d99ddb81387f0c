import Checkpoints
import Coordination
import Foundation
import Hashing
import StorageShell
import Terms
import Wire

/// What clients bring and take: job files in, a finished job's checkpoint out.
extension CoordinatorService {
    /// Which of a job's files have to be brought.
    func missingFiles(_ request: JSONValue, by key: KeyBook.Entry?) -> JSONValue {
        let wanted = (request["files"]?.array ?? []).compactMap(Self.fileRequest)
        let missing = wanted.filter { place($0, by: key) == nil }
        return .members(["missing": .array(missing.map { .string($0.digest.hex) })])
    }

    private static func fileRequest(_ value: JSONValue) -> JobFile? {
        guard let digest = value["sha256"]?.string.flatMap(Digest.init(hex:)), let size = value["bytes"]?.int, size >= 0
        else { return nil }
        return JobFile(kind: .model, name: "", digest: digest, size: size, path: value["path"]?.string ?? "")
    }

    /// Where a job's file stands on this machine, nil = nowhere.
    ///
    /// Only the coordinator's own user may name paths: from anybody else a path would be a way to read this machine.
    private func place(_ file: JobFile, by key: KeyBook.Entry?) -> String? {
        if let brought = files?.place(file.digest, size: file.size) { return brought }
        guard key?.isOwner ?? true else { return nil }
        let size = try? FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int
        return size == file.size ? file.path : nil
    }

    /// The job with the places where this machine has its files.
    func placed(_ description: JobDescription, by key: KeyBook.Entry?) throws -> JobDescription {
        var placed = description
        for index in placed.files.indices {
            guard let place = place(placed.files[index], by: key) else {
                throw DeskError(
                    description: "the file \(placed.files[index].name) has not been brought to the coordinator")
            }
            placed.files[index].path = place
        }
        return placed
    }

    /// The job with its files where they are now: the folder of a run, or the coordinator's, may have been moved whole.
    func located(_ run: JobRun) throws -> JobRun {
        var description = run.description
        for (index, file) in description.files.enumerated() where !FileManager.default.fileExists(atPath: file.path) {
            let name = URL(fileURLWithPath: file.path).lastPathComponent
            let own = JobFile(
                kind: file.kind, name: name, digest: file.digest, size: file.size,
                path: "\(options.jobFolder(run.id))/data/\(name)")
            if let place = place(own, by: nil) { description.files[index].path = place }
        }
        guard description != run.description else { return run }
        try amend(run.id, to: description, limiting: [])
        return core.job(run.id) ?? run
    }

    /// Begins an upload, or says how far one is.
    func upload(_ request: JSONValue, _ session: SessionID) throws -> JSONValue {
        guard let files else { return Self.problem("this coordinator takes no files") }
        if let number = request["upload"]?.int.flatMap({ UInt32(exactly: $0) }) {
            let (received, isComplete) = try files.progress(number)
            return .members(["received": .int(received), "complete": .bool(isComplete)])
        }
        guard let file = Self.fileRequest(request) else {
            return Self.problem("an upload names `sha256` and `bytes`")
        }
        return .members(["upload": .int(Int(try files.begin(file.digest, size: file.size, from: session)))])
    }

    /// What a client needs to have a job's result on its own machine: the checkpoint of `step`, else that of its newest
    /// step, or else the newest one.
    func result(_ job: JobID, step: Step? = nil) -> JSONValue {
        guard let run = core.job(job) else { return Self.problem("no job \(job)") }
        let folder = "\(options.jobFolder(job))/checkpoints"
        guard
            let record = (record(of: run, at: step ?? run.committed) ?? (step == nil ? record(of: run) : nil))?.record,
            let manifest = FileManager.default.contents(
                atPath: "\(folder)/\(RepositoryLayout.manifest(CheckpointDesk.run, record.name))")
        else { return Self.problem("job \(job) has no checkpoint here") }
        return .members([
            "step": .int(record.manifest.step),
            "resolved": FileManager.default.contents(atPath: "\(options.jobFolder(job))/resolved.yaml").map {
                .string(String(decoding: $0, as: UTF8.self))
            } ?? .null,
            "manifest": .members([
                "path": .string(RepositoryLayout.manifest(CheckpointDesk.run, record.name)),
                "text": .string(String(decoding: manifest, as: UTF8.self)),
            ]),
            "objects": .array(
                record.manifest.objects.map {
                    .members(["sha256": .string($0.digest.hex), "bytes": .int($0.length)])
                }),
        ])
    }

    /// The newest checkpoint, or the newest one of `step`, of the line that a job is on; also of one that is not open.
    func record(of run: JobRun, at step: Step? = nil) -> (store: CheckpointStore, record: CheckpointRecord)? {
        let open = desk(run.id)?.checkpoints.store
        guard let store = open ?? (try? CheckpointStore.openReading("\(options.jobFolder(run.id))/checkpoints")),
            let records = try? store.scan(CheckpointDesk.run).records
        else { return nil }
        let record = records.first { (step == nil || $0.manifest.step == step) && CheckpointDesk.isOn(run, $0) }
        return record.map { (store, $0) }
    }

    /// A file that belongs to a job and to nobody's secrets: one of its inputs, or an object of its checkpoints.
    func file(of job: JobID, _ digest: Digest) -> String? {
        if let file = core.job(job)?.description.files.first(where: { $0.digest == digest }) {
            return files?.place(digest, size: file.size) ?? file.path
        }
        guard core.job(job) != nil else { return nil }
        let path = "\(options.jobFolder(job))/checkpoints/\(RepositoryLayout.object(digest))"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }
}
