import Coordination
import JobSpecs

extension JobDescription {
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
