import Coordination
import Datasets
import Glibc
import Hashing
import Kernels
import ModelFiles
import Models
import Terms
import Training

/// Why a worker could not load a job, in one sentence.
struct LoadProblem: Error, CustomStringConvertible { let description: String }

/// Brings a job into memory from files whose digests it has checked.
struct JobLoader {
    let compute: Compute
    /// Where files that came over the network lie, by digest.
    let cache: FileCache

    /// The files that are neither at the submitter's path nor in the cache.
    func missing(_ description: JobDescription) -> [JobFile] { description.files.filter { cache.place(of: $0) == nil } }

    func load(_ description: JobDescription) throws -> LoadedJob {
        guard let settings = TrainingSettings(json: description.training) else {
            throw LoadProblem(description: "the job's training settings can't be read: another release submitted it")
        }
        let folder = try cache.folder(of: description.files.filter { $0.kind == .model })
        let directory = try ModelDirectory(path: folder)
        let weights = try directory.loadWeights()
        let method: TrainingMethod
        if let adapter = settings.adapter {
            var initial: LoadedWeights?
            if settings.startsFromAdapter {
                let folder = try cache.folder(of: description.files.filter { $0.kind == .adapter })
                initial = try AdapterDirectory(path: folder, model: directory.configuration).loadWeights()
            }
            method = .adapter(adapter, seed: settings.seed, initial: initial?.table)
        } else {
            method = .full
        }
        let trainer = try Trainer(
            configuration: directory.configuration, weights: weights.table, owner: weights, method: method,
            compute: compute, recomputes: settings.recomputes)
        guard let file = description.files.first(where: { $0.kind == .data }), let path = cache.place(of: file) else {
            throw LoadProblem(description: "the job names no data")
        }
        let data = try TokenCache(path: path, verifying: false)
        guard data.train.sequenceCount == description.sequences,
            data.validation.sequenceCount == description.evaluationSequences
        else { throw LoadProblem(description: "the data file holds another number of sequences than the job says") }
        return LoadedJob(
            description: description, settings: settings, trainer: trainer, data: data, compute: compute)
    }
}
