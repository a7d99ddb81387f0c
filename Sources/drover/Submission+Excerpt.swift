import Datasets
import JobSpecs
import ModelFiles
import Terms

extension Submission {
    /// What became of a job's rows, for whoever starts it.
    struct DataSummary {
        /// A sentence each.
        var sentences: [String]
        var json: JSONValue
        /// Sequences that are not trained on.
        var heldOut: Int

        init(_ data: Tokenised, of spec: JobSpec) {
            heldOut = data.contents.validation.sequenceCount
            let counts = data.contents.counts
            sentences = data.detections.map { "\($0.path): \($0.detection.explanation)" }
            if let excerpt = counts.excerpt { sentences.append(Self.sentence(excerpt, spec)) }
            if counts.dropped > 0 {
                sentences.append(
                    "\(counts.dropped) of \(counts.rows) rows are longer than cutoff_len and were dropped, with "
                        + "\(counts.droppedTrainedTokens) trained tokens")
            }
            if counts.truncated > 0 {
                sentences.append(
                    "\(counts.truncated) of \(counts.rows) rows are longer than cutoff_len and were cut, with a loss of "
                        + "\(counts.truncatedTrainedTokens) trained tokens")
            }
            if counts.untrained > 0 { sentences.append("\(counts.untrained) of \(counts.rows) rows teach nothing") }
            let files = data.detections.map { path, detection in
                JSONValue.members([
                    "path": .string(path), "type": .string(detection.format.rawValue),
                    "why": .string(detection.explanation),
                ])
            }
            json = .object(
                JSONObject(
                    [("files", .array(files)), ("excerpt", .null)] + (counts.json.object?.members ?? [])))
        }

        private static func sentence(_ excerpt: ExcerptExtent, _ spec: JobSpec) -> String {
            let need =
                switch spec.length {
                case .epochs: ""
                case .steps(let steps): "; max_steps \(steps) needs no more"
                case .tokens(let tokens): "; max_tokens \(tokens) needs no more"
                }
            let bytes = "\(Output.bytes(excerpt.bytes)) of \(Output.bytes(excerpt.ofBytes))"
            guard excerpt.chunks < excerpt.ofChunks else {
                return "the excerpt that the job needs is all of the dataset, \(Output.bytes(excerpt.ofBytes))"
            }
            return "trains on an excerpt of the dataset: \(excerpt.chunks) of \(excerpt.ofChunks) chunks, \(bytes), "
                + "\(spec.shuffle ? "drawn by the seed" : "from the front")\(need)"
        }
    }

    /// Data of fewer bytes is tokenised whole unless the job asks for an excerpt.
    private static let excerptFrom = 256 << 20

    /// What part of the data is enough for the job; nil = all of it is tokenised.
    func excerpt(of files: [DatasetFile]) throws -> ExcerptSettings? {
        guard spec.streaming != .off, let extent = try extent else { return nil }
        if spec.streaming == .auto {
            let bytes = try files.reduce(0) { $0 + (try FileState(path: $1.path).size) }
            guard bytes >= Self.excerptFrom else { return nil }
        }
        if let obstacle = try ExcerptSettings.obstacle(files) {
            guard spec.streaming == .auto else { throw Failure.input("streaming: \(obstacle)") }
            return nil
        }
        return ExcerptSettings(extent, isShuffled: spec.shuffle)
    }

    /// How much the job will see; nil when it sees all of the data, however much that is.
    private var extent: ExcerptSettings.Extent? {
        get throws {
            switch spec.length {
            case .epochs: return nil
            case .steps(let steps):
                try checkLength(Double(steps) * Double(spec.globalBatchSize), "max_steps")
                return .sequences(Int(steps) * spec.globalBatchSize)
            case .tokens(let tokens): return .tokens(Int(tokens))
            }
        }
    }
}
