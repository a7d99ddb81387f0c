/// The counts that `auto` leaves open, settled once for the job's life from its shapes alone
/// (design §4.1, rules 1 and 14).
package struct ResolvedShapes: Sendable, Hashable {
    /// Sequences of one forward and backward pass, at least 1.
    package var microBatchSize: Int
    /// V: the leaves of the reduction tree, at least 1.
    package var virtualShards: Int

    /// Tokens of a micro-batch, and of a shard, worth keeping together.
    package static let tokensTogether = 2048
    /// Doubling for LoRA ends here.
    package static let doublingLimit = 64

    /// What a job's keys give.
    package init(_ spec: JobSpec) {
        microBatchSize = spec.microBatchSize ?? Self.microBatchSize(cutoffLen: spec.cutoffLen)
        virtualShards =
            spec.virtualShards
            ?? Self.virtualShards(
                workersMax: spec.workers.upperBound, finetuningType: spec.finetuningType,
                globalBatchSize: spec.globalBatchSize, cutoffLen: spec.cutoffLen)
    }

    /// Rows that make a micro-batch of about 2,048 tokens: `max(1, 2048 / cutoffLen)`.
    package static func microBatchSize(cutoffLen: Int) -> Int {
        precondition(cutoffLen >= 1, "a sequence has at least one token")
        return max(1, tokensTogether / cutoffLen)
    }

    /// The smallest power of two from `workersMax` up; for LoRA, whose gradients are small, doubled up to 64 while a
    /// shard of `globalBatchSize · cutoffLen / V` tokens keeps at least 2,048.
    package static func virtualShards(
        workersMax: Int, finetuningType: FinetuningType, globalBatchSize: Int, cutoffLen: Int
    ) -> Int {
        precondition(workersMax >= 1 && globalBatchSize >= 1 && cutoffLen >= 1, "counts are at least 1")
        var shards = 1
        while shards < workersMax { shards *= 2 }
        guard finetuningType == .lora else { return shards }
        let (tokens, isHuge) = globalBatchSize.multipliedReportingOverflow(by: cutoffLen)
        while shards * 2 <= doublingLimit, isHuge || tokens / (shards * 2) >= tokensTogether { shards *= 2 }
        return shards
    }
}

extension JobSpec {
    /// The spec with `micro_batch_size` and `virtual_shards` as numbers, as it is kept with the run: a later change of
    /// `workers.max` then leaves the result alone.
    package var pinned: JobSpec {
        let shapes = ResolvedShapes(self)
        return replacing([
            (.microBatchSize, .integer(Int64(shapes.microBatchSize))),
            (.virtualShards, .integer(Int64(shapes.virtualShards))),
        ])
    }

    /// The spec with its precision settled, as it is kept with the run: going on elsewhere then changes nothing.
    package func withPrecision(_ precision: Precision) -> JobSpec {
        replacing([(.precision, .text(precision.rawValue))])
    }

    /// The spec with it settled whether all of its data is read, as it is kept with the run.
    package func withStreaming(_ isOn: Bool) -> JobSpec {
        replacing([(.streaming, .text((isOn ? AutoSwitch.on : .off).rawValue))])
    }

    /// What `auto` meant for an earlier start of this job, it means for the job's life: also where other run keys,
    /// `workers.max` above all, would now give it another meaning.
    package func settled(as earlier: JobSpec) -> JobSpec {
        let precise = precision == .auto ? withPrecision(earlier.precision) : self
        let spec = streaming == .auto ? precise.withStreaming(earlier.streaming == .on) : precise
        let unsettled = [JobKey.microBatchSize, .virtualShards].filter { integer($0) == nil }
        return spec.replacing(unsettled.map { (key: $0, value: earlier[$0]) })
    }

    /// The spec as a run is started with it, or gone on with: run by exactly `workers` where that is given, its shapes
    /// pinned.
    ///
    /// - Returns: the spec, or the fault that more workers are wanted than its shards, which an earlier start may have
    ///   settled.
    package func readied(workers: Int?) -> Result<JobSpec, SpecIssues> {
        if let workers { return withWorkers(workers) }
        let shards = ResolvedShapes(self).virtualShards
        guard self.workers.upperBound > shards else { return .success(pinned) }
        let sentence =
            "workers.max \(self.workers.upperBound) is more than virtual_shards \(shards), which the run began with "
            + "and keeps: set workers.max to \(shards) or less, or choose another output_dir for a new run"
        return .failure(SpecIssues(issues: [SpecIssue(key: JobKey.workersMax.name, sentence: sentence)]))
    }

    /// The spec run by exactly `count` workers, which must not change what it computes: an automatic V is settled from
    /// the file's own `workers.max` before, and only grows where `count` is more than that.
    ///
    /// - Returns: the spec with its shapes pinned, or the fault that `count` is more than a given `virtual_shards`.
    package func withWorkers(_ count: Int) -> Result<JobSpec, SpecIssues> {
        var base = pinned
        if virtualShards == nil, count > ResolvedShapes(self).virtualShards, count <= 4096 {
            let shards = ResolvedShapes.virtualShards(
                workersMax: count, finetuningType: finetuningType, globalBatchSize: globalBatchSize,
                cutoffLen: cutoffLen)
            base = base.replacing([(.virtualShards, .integer(Int64(shards)))])
        }
        return base.withOverrides(["workers.min=\(count)", "workers.max=\(count)"])
    }
}
