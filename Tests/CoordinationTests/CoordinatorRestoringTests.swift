import Coordination
import Terms
import Testing
import Wire

@Suite struct CoordinatorRestoringTests {
    @Test func `a replayed journal knows what the coordinator knew`() throws {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.saveSteps = 2 })
        let sessions = [stage.hello(1), stage.hello(2)]
        sessions.forEach(stage.load)
        stage.start(job, sessions)
        stage.run(job, to: 2, sessions)
        stage.publish(job, sessions)
        stage.run(job, to: 3, sessions)

        let next = try stage.restarted()

        let live = try #require(stage.core.job(job))
        let replayed = try #require(next.core.job(job))
        #expect(live.durableDifference(from: replayed) == nil)
        #expect(replayed.committed == 3 && replayed.saved == 2 && replayed.tokens == 120 && replayed.state == .running)
        #expect(replayed.tokens(after: 2) == 80 && replayed.tokens(after: 0) == 0)
    }

    @Test func `a job that its shell gives up fails alone, is on record as that, and can be resumed`() throws {
        let stage = Stage()
        let jobs = [stage.submit(Stage.description(workers: 1...1)), stage.submit(Stage.description(workers: 1...1))]
        let sessions = [stage.join(1), stage.join(2)]
        for (job, session) in zip(jobs, sessions) { stage.start(job, [session]) }
        stage.run(jobs[0], to: 2, [sessions[0]])
        stage.feed(.failed(jobs[0], reason: "the disk is full"))

        #expect(stage.state(jobs[0]) == .failed && stage.core.job(jobs[0])?.reason == "the disk is full")
        #expect(stage.messages(to: sessions[0]).contains(.release(jobs[0])) && stage.state(jobs[1]) == .running)
        #expect(try stage.restarted().state(jobs[0]) == .failed)
        stage.feed(.ordered(.resume, jobs[0]))
        #expect(stage.state(jobs[0]) != .failed && stage.committed(jobs[0]) == 2)
        stage.feed(.ordered(.cancel, jobs[1]))
        stage.feed(.failed(jobs[1], reason: "too late"))
        #expect(stage.state(jobs[1]) == .cancelled)
    }

    @Test func `workers that survived go on where they are, with the same recipes`() throws {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])

        let next = try stage.restarted()
        let back = next.join(1)
        next.wait(.seconds(3))
        next.standStill(job, [back]) { standing, _ in
            standing.hasState = true
            standing.step = 4
            standing.digest = Stage.digest(4)
            standing.reports = (1...4).map { stage.report(job, $0) }
        }
        next.getReady(job, [back])

        #expect(next.committed(job) == 4)
        #expect(next.roster(job)?.target == 4)
        #expect(next.leased(to: back) == [5, 6, 7, 8])
    }

    @Test func `a job that ran waits a little for its crew, so that a newcomer does not start over`() throws {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])

        let next = try stage.restarted()
        let fresh = next.join(7, session: 1)
        next.wait(.seconds(1))
        let old = next.join(1, session: 2)
        next.wait(.seconds(2))
        next.standStill(job, [fresh])
        next.standStill(job, [old]) { standing, _ in
            standing.hasState = true
            standing.step = 2
            standing.digest = Stage.digest(2)
        }

        #expect(next.generation(job) == Generation(2))
        #expect(next.roster(job)?.target == 2)
    }

    @Test func `a rewind goes back, and the journal knows`() throws {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.saveSteps = 2 })
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])
        stage.publish(job, [session])
        stage.run(job, to: 3, [session])

        let next = try stage.restarted()
        next.adjust { $0.rewind(job, to: 2) }
        #expect(next.committed(job) == 2 && next.core.job(job)?.tokens == 80 && next.state(job) == .queued)
        let again = try next.restarted()

        let live = try #require(next.core.job(job))
        #expect(live.durableDifference(from: try #require(again.core.job(job))) == nil)
        #expect(next.notices.contains(.rewound(job, to: 2)))
    }

    @Test func `a checkpoint beyond the journal is not used`() throws {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])

        let next = try stage.restarted()
        next.adjust { $0.rewind(job, to: 9) }

        #expect(next.core.job(job)?.saved == 0 && next.committed(job) == 0)
    }

    @Test(arguments: [2, 4]) func `a job that is done goes on only when its last checkpoint is lost`(found: Int) throws
    {
        let stage = Stage()
        let job = stage.submit(Stage.description(steps: 4) { $0.saveSteps = 2 })
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])
        stage.publish(job, [session])
        stage.run(job, to: 4, [session])
        stage.publish(job, [session])
        #expect(stage.state(job) == .done)

        let next = try stage.restarted()
        next.adjust { $0.rewind(job, to: found) }
        #expect(next.committed(job) == found && next.state(job) == (found == 4 ? .done : .queued))
        guard found < 4 else { return }
        let back = next.join(1)
        next.wait(.seconds(3))
        next.start(job, [back])
        next.run(job, to: 4, [back])
        next.publish(job, [back])
        #expect(next.state(job) == .done && next.committed(job) == 4)
        #expect(try next.restarted().state(job) == .done)
    }

    @Test func `a worker from beyond a rewind is led back to what counts`() throws {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.saveSteps = 2 })
        let session = stage.join(1)
        stage.start(job, [session])
        stage.run(job, to: 2, [session])
        stage.publish(job, [session])
        stage.run(job, to: 4, [session])

        let next = try stage.restarted()
        next.adjust { $0.rewind(job, to: 2) }
        let back = next.join(1)
        next.wait(.seconds(3))
        next.standStill(job, [back]) { standing, _ in
            standing.hasState = true
            standing.step = 4
            standing.digest = Stage.digest(4)
        }

        #expect(next.roster(job)?.target == 2)
        #expect(next.roster(job)?.sources == [])
    }

    @Test func `a job whose data is not open takes no workers`() throws {
        let stage = Stage()
        let job = stage.submit()
        var core = Coordinator(epoch: 2, dataEndpoint: "head")
        for entry in stage.journal { try core.restore(entry, at: stage.now) }
        let hello = Hello(
            role: .worker, node: Stage.node(1), boot: 1, name: "w", threads: 1, dataEndpoint: "", profile: 1,
            lastEpoch: 0)

        let output = core.handle(.received(.hello(hello), from: SessionID(1)), at: stage.now)

        #expect(output.sends.count == 1)
        #expect(core.sessions.map(\.job) == [nil])
        #expect(core.job(job)?.situation == "its data is not open")
    }

    @Test func `an entry that no longer decodes is an error`() {
        var core = Coordinator(epoch: 1, dataEndpoint: "")

        #expect(throws: DescriptionError.self) {
            try core.restore(.submitted(JobID(1), description: [1, 2]), at: Instant(nanoseconds: 0))
        }
    }
}
