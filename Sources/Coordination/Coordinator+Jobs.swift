package import Terms
import Wire

extension Coordinator {
    /// The number that the next submitted job gets.
    package var nextJob: JobID { JobID((jobs.last?.id.number ?? 0) + 1) }

    mutating func submit(
        _ job: Job, _ request: RequestKey?, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard !isAnswered(request, &output) else { return }
        let id = nextJob
        var run = JobRun(
            id: id, description: job.description, job: job, rates: rates, clockOffset: clockOffset, at: now)
        run.bug = bug
        output.journal.append(.submitted(id, description: run.descriptionBytes()))
        jobs.append(run)
        update(id) { $0.openLedger(&output) }
        output.notices.append(.state(id, .queued, reason: "submitted"))
        answer(request, id, &output)
    }

    mutating func obey(
        _ order: JobOrder, _ job: JobID, _ request: RequestKey?, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard place(ofJob: job) != nil, !isAnswered(request, &output) else { return }
        update(job) { $0.obey(order, now, &output) }
        placementIsDue = true
        answer(request, job, &output)
    }

    /// What became of a request, nil when it was not carried out yet or so long ago that nobody asks again.
    package func answer(to request: RequestKey) -> RequestAnswer? { answers.last { $0.key == request } }

    /// True when the request was carried out before: it gets its old answer.
    private func isAnswered(_ request: RequestKey?, _ output: inout CoordinatorOutput) -> Bool {
        guard bug != .requestCarriedOutTwice, let known = answers.last(where: { $0.key == request }) else {
            return false
        }
        output.answers.append(known)
        return true
    }

    private mutating func answer(_ request: RequestKey?, _ job: JobID, _ output: inout CoordinatorOutput) {
        guard let request, let place = place(ofJob: job) else { return }
        let state = jobs[place].state
        let answer = RequestAnswer(key: request, job: job, state: state)
        remember(answer)
        if bug != .answersForgotten { output.journal.append(.answered(job, key: request, state: state)) }
        output.answers.append(answer)
    }

    mutating func remember(_ answer: RequestAnswer) {
        if answers.count == RequestAnswer.limit { answers.removeFirst() }
        answers.append(answer)
    }
}
