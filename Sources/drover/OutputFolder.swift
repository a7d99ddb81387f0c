import Checkpoints
import Foundation
import JobSpecs
import ModelFiles
import StorageShell

/// What stands in an `output_dir` before a new run begins there: results of two runs are never mixed in one folder.
struct OutputFolder {
    let path: String

    init(_ path: String) { self.path = path }

    /// Whether a run of this machine has its journal here.
    var hasJournal: Bool { Disk.hasFile(joinPath(path, "state/journal.sqlite")) }

    /// Names of the checkpoints that lie here, whoever made them.
    private var checkpoints: [ManifestName] {
        let folder = joinPath(path, "checkpoints/" + RepositoryLayout.manifests(RunFolder.run))
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap(ManifestName.init)
    }

    /// The first folder that an export would replace, nil = there is none.
    private func export(of spec: JobSpec) -> String? {
        spec.exports.map { joinPath(path, RunExport.folder($0)) }.first(where: Disk.hasFolder)
    }

    /// Refuses a folder that holds another run's checkpoints, or what an export of `spec` would replace; there is no
    /// journal here.
    ///
    /// - Parameter hasBranch: the run begins with another one's state, which an interrupted start may have put here.
    func refuseResults(for spec: JobSpec, hasBranch: Bool) throws {
        // What a start has put here belongs to no life of a coordinator.
        if let name = checkpoints.max(), !(hasBranch && name.epoch == 0) {
            throw Failure.input(
                "output_dir \(path) holds checkpoints (the newest of step \(name.step)) of a run whose journal, state/, is "
                    + "not there: put it back to go on with that run, or choose another output_dir; "
                    + "--resume \(path)@\(name.step) begins with that state")
        }
        if let export = export(of: spec) {
            throw Failure.input(
                "\(export) exists already, and no run here has made it: the job's export would replace it. Choose another "
                    + "output_dir, or move it away")
        }
    }

    /// The job file that an earlier start has left here, nil when there is none.
    func earlierSpec() throws -> JobSpec? {
        let file = joinPath(path, "resolved.yaml")
        guard let data = FileManager.default.contents(atPath: file) else { return nil }
        let spec = try JobSpec.read(yaml: String(decoding: data, as: UTF8.self), file: file).get()
        // Releases that kept `auto`, or nothing, meant fp32 and all of the data.
        let settled = spec.precision == .auto ? spec.withPrecision(.fp32) : spec
        return settled.streaming == .auto ? settled.withStreaming(false) : settled
    }

    /// Refuses a folder that a job of a coordinator can't bring its results to.
    ///
    /// - Parameters:
    ///   - isRepeated: the request may have been made before under its own name: then its results may be here.
    ///   - isNew: nothing of an earlier start may be here at all.
    ///
    /// - Returns: the job with what `auto` meant for an earlier start.
    func refuseForCluster(_ spec: JobSpec, isRepeated: Bool, isNew: Bool) throws -> JobSpec {
        guard !hasJournal else {
            throw Failure.input(
                "output_dir \(path) holds a run of this machine: go on with it (drover resume \(path)), or choose another "
                    + "output_dir")
        }
        guard let earlier = try earlierSpec() else {
            try refuseResults(for: spec, hasBranch: false)
            return spec
        }
        let settled = spec.settled(as: earlier)
        try Self.refuseOther(settled, than: earlier, in: path)
        guard !isNew, isRepeated || (checkpoints.isEmpty && export(of: spec) == nil) else {
            throw Failure.input(
                "output_dir \(path) holds a run of this job already: choose another output_dir, or remove it")
        }
        return settled
    }

    /// A run may go on with other run keys, never with other result keys (design §4.1, rule 15).
    static func refuseOther(_ spec: JobSpec, than earlier: JobSpec, in folder: String) throws {
        let differences = spec.differences(from: earlier, tag: .result)
        guard differences.isEmpty else {
            let list = differences.map { "  \($0.key.entry.name): \($0.old) → \($0.new)" }.joined(separator: "\n")
            throw Failure.input(
                "output_dir \(folder) holds a run of another job; these keys decide the result and differ:\n\(list)\n"
                    + "choose another output_dir, or set them back to go on")
        }
    }
}
