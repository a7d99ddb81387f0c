extension JobDescription {
    /// Takes over what may change of a job at rest: the keys of `other` that never change a result (design §4.1, rule
    /// 15), budget apart, which has rules of its own.
    package mutating func takeRunKeys(of other: JobDescription) {
        (name, project, priority) = (other.name, other.project, other.priority)
        (workersMin, workersMax) = (other.workersMin, other.workersMax)
        (saveSteps, saveMilliseconds, savesByCost) = (other.saveSteps, other.saveMilliseconds, other.savesByCost)
        (saveTotalLimit, keepBest, keepEvery) = (other.saveTotalLimit, other.keepBest, other.keepEvery)
        (evaluationSteps, evaluatesFirst) = (other.evaluationSteps, other.evaluatesFirst)
        loggingSteps = other.loggingSteps
    }
}
