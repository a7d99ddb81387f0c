package import Terms
import Wire

extension Coordinator {
    /// The number that the next submitted job gets.
    package var nextJob: JobID { JobID((jobs.last?.id.number ?? 0) + 1) }

    mutating func submit(_ job: Job, _ now: Instant, _ output: inout CoordinatorOutput) {
        let id = nextJob
        output.journal.append(.submitted(id, description: job.description.encoded()))
        jobs.append(JobRun(id: id, job: job, submittedAt: now))
        output.notices.append(.state(id, .queued, reason: "submitted"))
    }

    mutating func obey(_ order: JobOrder, _ job: JobID, _ now: Instant, _ output: inout CoordinatorOutput) {
        update(job) { $0.obey(order, now, &output) }
    }

    /// Gives free workers to jobs: higher priority first, then the older job; first everybody's minimum, then growth.
    mutating func place(_ now: Instant, _ output: inout CoordinatorOutput) {
        let order = jobs.indices.filter { !jobs[$0].state.isAtRest }.sorted {
            (-jobs[$0].description.priority, jobs[$0].id) < (-jobs[$1].description.priority, jobs[$1].id)
        }
        for wanted in [\JobDescription.memberMinimum, \.memberLimit] {
            for index in order {
                let description = jobs[index].description
                var have = sessions.count { $0.job == jobs[index].id && $0.load.isUseful }
                for session in sessions.indices where have < description[keyPath: wanted] {
                    guard sessions[session].role == .worker, sessions[session].job == nil else { continue }
                    assign(session, to: index, &output)
                    have += 1
                }
            }
        }
        for index in order { failWithoutHope(index, now, &output) }
    }

    private mutating func assign(_ session: Int, to index: Int, _ output: inout CoordinatorOutput) {
        sessions[session].job = jobs[index].id
        sessions[session].load = .loading
        let assignment = Assignment(job: jobs[index].id, description: jobs[index].description.encoded())
        output.sends.append((sessions[session].id, .assign(assignment)))
    }

    /// A job that no connected worker can load fails with the first worker's words, instead of waiting for ever.
    private mutating func failWithoutHope(_ index: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        let tried = sessions.filter { $0.job == jobs[index].id }
        let problems = tried.compactMap { if case .failed(let text) = $0.load { text } else { nil } }
        guard let problem = problems.first, problems.count == tried.count else { return }
        jobs[index].rest(.failed, reason: problem, &output)
    }

    /// Frees the workers of jobs that came to rest; true when there were any.
    mutating func releaseRested(_ output: inout CoordinatorOutput) -> Bool {
        var isAnyFree = false
        for index in sessions.indices {
            guard let job = sessions[index].job, self.job(job)?.state.isAtRest != false else { continue }
            output.sends.append((sessions[index].id, .release(job)))
            sessions[index].job = nil
            sessions[index].load = .free
            isAnyFree = true
        }
        return isAnyFree
    }
}

extension SessionRecord.Load {
    /// Loaded, or about to be.
    var isUseful: Bool { self == .loading || self == .loaded }
}
