import Coordination
import JobSpecs
import Kernels
import Recipes
import Terms
import WorkerShell

extension JobDescription {
    /// This job by the keys of `spec` that stand in both as they are, which neither model nor data has to be read for.
    func withResultKeys(of spec: JobSpec) -> JobDescription {
        var job = self
        job.globalBatch = spec.globalBatchSize
        job.microBatch = spec.microBatchSize ?? microBatch
        job.virtualShards = spec.virtualShards ?? virtualShards
        job.shuffleSeed = spec.shuffle ? spec.seed : nil
        if case .steps(let steps) = spec.length { job.totalSequences = Int(steps) * spec.globalBatchSize }
        (job.beta1, job.beta2) = (spec.adamBeta1, spec.adamBeta2)
        job.schedule = LearningRateSchedule.Kind(rawValue: spec.lrSchedulerType.rawValue) ?? schedule
        (job.peakRate, job.warmupRatio) = (spec.learningRate, spec.warmupRatio)
        job.isExact = spec.exactness == .exact
        guard var settings = TrainingSettings(json: training) else { return job }
        (settings.seed, settings.beta1, settings.beta2) = (spec.seed, spec.adamBeta1, spec.adamBeta2)
        (settings.epsilon, settings.weightDecay) = (spec.adamEpsilon, spec.weightDecay)
        settings.maxGradientNorm = spec.maxGradNorm
        settings.gradientWire = GradientWire.Format(rawValue: spec.gradientWire.rawValue) ?? settings.gradientWire
        if spec.precision != .auto { settings.precision = spec.precision.rawValue }
        job.training = settings.json
        return job
    }

    /// The keys of a job file that may change between two runs of a job.
    mutating func setRunKeys(_ spec: JobSpec) {
        name = spec.name
        project = spec.project
        priority = spec.priority
        workersMin = spec.workers.lowerBound
        workersMax = spec.workers.upperBound
        saveSteps = spec.saveSteps
        saveMilliseconds = if case .milliseconds(let length) = spec.saveInterval { Int(length) } else { 0 }
        savesByCost = spec.saveInterval == .auto
        saveTotalLimit = spec.saveTotalLimit
        keepBest = spec.saveBest
        keepEvery = spec.saveEvery
        evaluationSteps = spec.evalSteps
        evaluatesFirst =
            switch spec.evalOnStart {
            case .on: true
            case .off: false
            // A forward pass costs a third of a training step, with an adapter half of one.
            case .auto: evaluationSequences <= 2 * globalBatch
            }
        loggingSteps = max(1, spec.loggingSteps)
        budget = spec.budget
    }
}
