import Terms

extension JobDescription {
    /// Steps until the job has taken all of its sequences, whatever a budget says.
    package var plannedSteps: Int { (totalSequences + globalBatch - 1) / globalBatch }

    /// This job with all that may change of it while it rests as `other` has it: run keys, budget, how much of the
    /// held-out data is read, and where its files lie. What decides the result stays (design §4.1, rule 15), whatever
    /// `other` says of it, and so does what the job began with.
    package func amended(by other: JobDescription) -> JobDescription {
        var amended = self
        amended.takeRunKeys(of: other)
        amended.budget = other.budget
        (amended.evaluationSequences, amended.evaluationShards) = (other.evaluationSequences, other.evaluationShards)
        // An estimate, which another release makes otherwise.
        amended.memoryBytes = other.memoryBytes
        for (index, file) in files.enumerated() {
            guard let now = other.files.first(where: { file.isSame(as: $0) }) else { continue }
            amended.files[index].path = now.path
            amended.files[index].state = now.state
        }
        return amended
    }
}

extension JobFile {
    /// Whether two places hold the same file of a job.
    package func isSame(as other: JobFile) -> Bool {
        (kind, name, digest, size) == (other.kind, other.name, other.digest, other.size)
    }
}
