import Coordination
import Terms
import Testing
import Wire

@Suite struct CoordinatorPlacementTests {
    private func jobs(_ stage: Stage) -> [JobID?] { stage.core.sessions.map(\.job) }

    @Test func `the higher priority is served first, then the older job`() {
        let stage = Stage()
        let first = stage.submit(Stage.description(workers: 1...1))
        let second = stage.submit(Stage.description(workers: 1...1))
        let urgent = stage.submit(Stage.description(workers: 1...1) { $0.priority = 90 })

        for number in 1...3 { stage.hello(number) }

        #expect(jobs(stage) == [urgent, first, second])
    }

    @Test func `everybody's minimum comes before anybody's growth`() {
        let stage = Stage()
        for number in 1...5 { stage.hello(number) }
        let first = stage.submit(Stage.description(workers: 2...4))

        #expect(jobs(stage) == [first, first, first, first, nil])
        let second = stage.submit(Stage.description(workers: 1...4))
        #expect(jobs(stage) == [first, first, first, first, second])
    }

    @Test func `two jobs never wait for each other's workers`() {
        let stage = Stage()
        let first = stage.submit(Stage.description(workers: 3...3))
        let second = stage.submit(Stage.description(workers: 2...2))
        let one = stage.hello(1)
        let two = stage.hello(2)

        // Too few for the first: the second one gets its minimum.
        #expect(jobs(stage) == [second, second])
        [one, two].forEach(stage.load)
        stage.start(second, [one, two])
        #expect(stage.state(second) == .running)
        for number in 3...5 { stage.hello(number) }
        #expect(jobs(stage) == [second, second, first, first, first])
    }

    @Test func `what a resting job frees goes to the next one at once`() {
        let stage = Stage()
        let first = stage.submit(Stage.description(workers: 1...1))
        let second = stage.submit(Stage.description(workers: 1...1))
        let session = stage.join(1)
        stage.start(first, [session])
        stage.forget()

        stage.feed(.ordered(.cancel, first))

        #expect(jobs(stage) == [second])
        #expect(stage.messages(to: session).first == .release(first))
    }

    @Test func `a worker that can't load a job serves another one`() {
        let stage = Stage()
        let job = stage.submit(Stage.description(workers: 1...1))
        let session = stage.hello(1)
        stage.hello(2)

        stage.say(.assigned(AssignmentResult(job: job, parameters: 0, problem: "no space left")), session)

        #expect(jobs(stage) == [nil, job])
        #expect(stage.state(job)?.isAtRest == false)
        let other = stage.submit(Stage.description(workers: 1...1))
        #expect(jobs(stage) == [other, job])
    }

    @Test func `a job that no worker can load fails with the first one's words, but not at once`() {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.hello(1)

        stage.say(.assigned(AssignmentResult(job: job, parameters: 0, problem: "no model here")), session)
        #expect(stage.state(job) == .queued)
        stage.wait(.seconds(4))

        #expect(stage.state(job) == .failed)
        #expect(stage.core.job(job)?.reason == "no model here")
    }

    @Test func `one unfit worker that is back first does not fail the job of the others`() throws {
        let stage = Stage()
        let job = stage.submit(Stage.description(workers: 1...2))
        let good = stage.join(1)
        stage.start(job, [good])
        stage.run(job, to: 2, [good])

        let next = try stage.restarted()
        let bad = next.hello(2, session: 1)
        next.say(.assigned(AssignmentResult(job: job, parameters: 0, problem: "broken disk")), bad)
        next.wait(.seconds(1))
        next.join(1, session: 2)
        next.wait(.seconds(4))

        #expect(next.state(job)?.isAtRest == false)
        #expect(next.generation(job) == Generation(2))
    }

    @Test func `a job goes to workers with memory enough for it, and fails with the figures when there is none`() {
        let stage = Stage()
        let small = stage.hello(1) { $0.memory = 900 << 20 }
        var description = Stage.description(workers: 1...2)
        description.memoryBytes = 1000 << 20
        let job = stage.submit(description)
        #expect(stage.core.sessions.first { $0.id == small }?.job == nil)

        let large = stage.hello(2) { $0.memory = 1000 << 20 }
        let silent = stage.hello(3)
        for session in [large, silent] { #expect(stage.core.sessions.first { $0.id == session }?.job == job) }
        #expect(stage.core.sessions.first { $0.id == small }?.job == nil)
        let other = stage.submit(Stage.description(workers: 1...1))
        #expect(
            stage.core.sessions.first { $0.id == small }?.job == other, "what is too small for one job serves another")

        for session in [large, silent] { stage.feed(.connectionClosed(session)) }
        for _ in 0..<2 { stage.wait(.seconds(4)) }
        #expect(stage.core.job(job)?.state == .failed)
        #expect(stage.core.job(job)?.reason.contains("about 1000 MiB of memory") == true)
    }

    @Test func `a worker that counts other parameters than the job is unfit`() {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.hello(1)

        stage.say(.assigned(AssignmentResult(job: job, parameters: 9, problem: "")), session)

        #expect(stage.messages(to: session).last == .release(job))
    }

    @Test func `an unfit worker is tried again after a minute`() {
        let stage = Stage()
        let job = stage.submit()
        let good = stage.join(1)
        let bad = stage.hello(2)
        stage.say(.assigned(AssignmentResult(job: job, parameters: 0, problem: "no space left")), bad)
        #expect(jobs(stage) == [job, nil])

        for _ in 0..<13 {
            stage.wait(.seconds(5))
            for session in [good, bad] { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 1)), session) }
        }

        #expect(jobs(stage) == [job, job])
    }

    @Test func `a local failure of one member costs the job that member only`() {
        let stage = Stage()
        let job = stage.submit(Stage.description(workers: 1...2))
        let sessions = [stage.hello(1), stage.hello(2)]
        sessions.forEach(stage.load)
        stage.start(job, sessions)

        stage.say(
            .trouble(Trouble(job: job, generation: Generation(1), step: 1, kind: .local, text: "disk")), sessions[0])

        #expect(stage.state(job) == .running)
        #expect(stage.messages(to: sessions[1]).last == .prepare(job, Generation(2)))
        #expect(stage.messages(to: sessions[0]).last == .release(job))
    }
}
