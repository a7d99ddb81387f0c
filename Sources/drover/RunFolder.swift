import Checkpoints
import Foundation
import JobSpecs
import ModelFiles
import StorageShell
import Terms

/// The folder of a run: its resolved job file, its checkpoints, and what was exported.
struct RunFolder {
    let path: String
    /// The job as it was resolved when it started.
    let spec: JobSpec

    /// The run's name inside its checkpoint store.
    static let run = "main"

    /// Opens the run at `path`; refuses a folder without resolved.yaml.
    init(_ path: String) throws {
        let file = joinPath(path, "resolved.yaml")
        guard Disk.hasFolder(path) else { throw Failure.input("\(path) is no directory: give the output_dir of a run") }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw Failure.input("\(path) holds no resolved.yaml: give the output_dir of a run")
        }
        self.path = path
        spec = try JobSpec.read(yaml: String(decoding: data, as: UTF8.self), file: file).get()
    }

    /// Where the checkpoints lie.
    var checkpoints: String { joinPath(path, "checkpoints") }

    /// The store for reading; refuses a run that has none yet.
    func openStore() throws -> CheckpointStore {
        guard Disk.hasFolder(checkpoints) else { throw Failure.input("\(path): the run has no checkpoints yet") }
        return try CheckpointStore.openReading(checkpoints)
    }

    /// The exported adapter or model that a program would load, nil when nothing has been exported yet.
    var export: (model: String, adapter: String?)? {
        let (adapter, model) = (joinPath(path, "adapter"), joinPath(path, "model"))
        if Disk.hasFile(joinPath(adapter, "adapter_config.json")) { return (spec.modelPath, adapter) }
        return Disk.hasFile(joinPath(model, "config.json")) ? (model, nil) : nil
    }

    /// Splits the path of one checkpoint, `RUN/checkpoints/runs/main/manifests/NAME.json` or `RUN@STEP`, off its run.
    static func split(_ path: String) throws -> (run: String, wanted: WantedCheckpoint) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        if let last = parts.last, let name = ManifestName(String(last)), parts.count > 5,
            parts.suffix(5).prefix(4).elementsEqual(["checkpoints", "runs", "main", "manifests"])
        {
            return (parts.dropLast(5).joined(separator: "/"), .named(name))
        }
        if let at = path.lastIndex(of: "@"), !Disk.hasFolder(path) {
            guard let step = Step(path[path.index(after: at)...]), step >= 0 else {
                throw Failure.input("\(path): what follows @ is the step of a checkpoint, for instance RUN@200")
            }
            return (String(path[..<at]), .step(step))
        }
        return (path, .newest)
    }
}

/// Which checkpoint of a run is meant.
enum WantedCheckpoint: Equatable {
    case newest
    case step(Step)
    case named(ManifestName)
    /// The one of a step with this `model_sha256`.
    case state(step: Step, digest: Digest)

    /// The step that is asked for, nil = none, or one by its name.
    var step: Step? { if case .step(let step) = self { step } else { nil } }
}
