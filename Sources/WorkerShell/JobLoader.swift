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

    /// The files that are neither at the submitter's path nor in the cache and have to be fetched whole.
    func missing(_ description: JobDescription) -> [JobFile] {
        let missing = description.files.filter { $0.kind != .blocks && cache.place(of: $0) == nil }
        guard let table = description.files.first(where: { $0.kind == .blocks }) else { return missing }
        return missing.flatMap { $0.kind == .data ? (cache.place(of: table) == nil ? [table] : []) : [$0] }
    }

    /// The job's data when they are not here and come in blocks.
    func blocks(_ description: JobDescription, wake: @escaping @Sendable () -> Void) throws -> BlockFile? {
        guard let table = description.files.first(where: { $0.kind == .blocks }),
            let data = description.files.first(where: { $0.kind == .data }), cache.place(of: data) == nil
        else { return nil }
        return try cache.blocks(of: data, table, wake: wake)
    }

    /// What opening the data reads: waits until it is here; false when it was given up.
    func awaitTables(_ blocks: BlockFile) throws -> Bool {
        guard blocks.wait(for: BlockTable.blocks(holding: 0..<TokenCache.headBytes)) else { return false }
        guard let head = blocks.read(0), let tables = TokenCache.tables(head: head, size: blocks.file.size) else {
            throw LoadProblem(description: "\(blocks.file.name) is no file of tokens")
        }
        return blocks.wait(for: BlockTable.blocks(holding: tables))
    }

    /// - Parameter blocks: the data, where they are still on their way and their tables are here.
    func load(_ description: JobDescription, blocks: BlockFile?) throws -> LoadedJob {
        guard let settings = TrainingSettings(json: description.training) else {
            throw LoadProblem(description: "the job's training settings can't be read: another release submitted it")
        }
        let files = description.files.filter { $0.kind == .model }
        let directory = try ModelDirectory(path: try cache.folder(of: files))
        guard let arithmetic = Arithmetic(rawValue: settings.precision) else {
            throw LoadProblem(description: "the job's precision `\(settings.precision)` is not known to this release")
        }
        let compute = compute.using(arithmetic)
        let start = try start(directory, description, settings, arithmetic)
        guard files.allSatisfy({ cache.place(of: $0) != nil }), start.frozen?.changedFile() == nil else {
            throw LoadProblem(description: "a file of the model changed while it was read")
        }
        let trainer = try Trainer(
            configuration: directory.configuration, weights: start.weights, owner: start.frozen, method: start.method,
            compute: compute,
            recomputes: settings.recomputes,
            dropout: AdapterDropout(probability: settings.dropout, seed: settings.seed))
        guard let file = description.files.first(where: { $0.kind == .data }),
            let path = blocks?.path ?? cache.place(of: file)
        else {
            throw LoadProblem(description: "the job names no data")
        }
        let data = try TokenCache(path: path, verifying: false)
        guard data.train.sequenceCount == description.sequences,
            data.validation.sequenceCount >= description.evaluationSequences
        else { throw LoadProblem(description: "the data file holds another number of sequences than the job says") }
        let initial: InitialParameters? =
            settings.adapter != nil
            ? nil
            : .read { parameters in
                try read(directory, into: parameters)
            }
        return LoadedJob(
            description: description, settings: settings, trainer: trainer, initial: initial, data: data,
            source: DataSource(path: path, blocks: blocks), frozen: start.frozen, compute: compute)
    }

    /// What is trained and where it starts, with the model's weights. Those of a full job are read straight into the
    /// state, so that there is one copy of them; frozen ones stay in their files where that can be, so that there is
    /// none, however many workers this machine has.
    private func start(
        _ directory: ModelDirectory, _ description: JobDescription, _ settings: TrainingSettings,
        _ arithmetic: Arithmetic
    ) throws -> (method: TrainingMethod, weights: WeightTable, frozen: LoadedWeights?) {
        if let adapter = settings.adapter {
            var initial: LoadedWeights?
            if settings.startsFromAdapter {
                let folder = try cache.folder(of: description.files.filter { $0.kind == .adapter })
                initial = try AdapterDirectory(path: folder, model: directory.configuration).loadWeights()
            }
            let files = description.files.filter { $0.kind == .model }.map { (name: $0.name, digest: $0.digest) }
            let weights = try directory.loadWeights(for: arithmetic, inPlace: files)
            return (.adapter(adapter, seed: settings.seed, initial: initial?.table), weights.table, weights)
        }
        let layout = ParameterLayout(full: directory.table)
        let state = FloatBuffer(count: layout.count)
        try read(directory, into: state.pointer)
        return (.fullInPlace(state), WeightTable(layout, in: state.pointer, owner: state), nil)
    }

    /// Reads every weight to its place in a vector laid out for full training.
    private func read(_ directory: ModelDirectory, into parameters: UnsafeMutablePointer<Float>) throws {
        let layout = ParameterLayout(full: directory.table)
        try directory.loadWeights { tensor in
            guard let entry = layout[tensor.name] else { preconditionFailure("the layout is the table's") }
            return parameters + entry.offset
        }
    }
}
