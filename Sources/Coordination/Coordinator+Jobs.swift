package import Terms
import Wire

extension Coordinator {
    /// The number that the next submitted job gets.
    package var nextJob: JobID { JobID((jobs.last?.id.number ?? 0) + 1) }

    mutating func submit(_ job: Job, _ now: Instant, _ output: inout CoordinatorOutput) {
        let id = nextJob
        output.journal.append(.submitted(id, description: job.description.encoded()))
        jobs.append(JobRun(
            id: id, description: job.description, job: job, rates: rates, clockOffset: clockOffset, at: now))
        update(id) { $0.openLedger(&output) }
        output.notices.append(.state(id, .queued, reason: "submitted"))
    }

    mutating func obey(_ order: JobOrder, _ job: JobID, _ now: Instant, _ output: inout CoordinatorOutput) {
        update(job) { $0.obey(order, now, &output) }
    }
}
