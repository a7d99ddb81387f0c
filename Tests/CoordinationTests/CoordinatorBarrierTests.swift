import Collectives
import Coordination
import Terms
import Testing
import Wire

@Suite struct CoordinatorBarrierTests {
    /// Answers the newest evaluation orders; shard k has loss k + 1 and ten tokens.
    private func evaluate(_ stage: Stage, _ sessions: [SessionID]) {
        for session in sessions {
            guard
                case .evaluate(let order)? = stage.messages(to: session).last(where: {
                    if case .evaluate = $0 { true } else { false }
                })
            else { continue }
            let shards = Array(order.shards.lower..<order.shards.upper)
            stage.say(
                .evaluated(
                    EvaluationResult(
                        order: order, lossSums: shards.map { Double($0 + 1) }, tokens: shards.map { _ in 10 })), session
            )
        }
    }

    /// Of the checkpoint that is there when the pause comes: none of that step, or a periodic one.
    @Test(arguments: [0, 3])
    func `a checkpoint that somebody asked for is one that stays, also when a pause follows at once`(saveSteps: Int) {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = saveSteps })
        stage.run(job, to: 3, sessions)
        if saveSteps > 0 { stage.publish(job, sessions) }
        let before = stage.saves().count
        stage.feed(.ordered(.checkpoint, job))
        stage.feed(.ordered(.pause, job))
        for _ in 0..<10 where stage.state(job) == .running {
            stage.run(job, to: stage.leased(to: sessions[0]).max() ?? 0, sessions)
            stage.wait(.seconds(1))
            stage.publish(job, sessions)
        }
        #expect(stage.state(job) == .paused)
        #expect(stage.saves().dropFirst(before).map(\.kind).contains(.user), "\(stage.saves())")
        #expect(stage.core.job(job)?.saved == stage.committed(job))
    }

    @Test func `a job that is halted rests without a checkpoint, and goes on from the one before when it is resumed`()
        throws
    {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 })
        stage.run(job, to: 2, sessions)
        stage.publish(job, sessions)
        stage.run(job, to: 3, sessions)
        stage.feed(.halted(job, reason: "no room"))
        #expect(stage.state(job) == .paused && stage.core.job(job)?.reason == "no room")
        #expect(stage.saves().count == 1)
        stage.feed(.halted(job, reason: "again"))
        #expect(stage.core.job(job)?.reason == "no room")
        #expect(try stage.restarted().state(job) == .paused)
        stage.feed(.ordered(.resume, job))
        #expect(stage.state(job) == .queued || stage.state(job) == .starting)
    }

    @Test func `leases stop at a checkpoint, which is ordered with the steps behind it`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 3 })
        #expect(stage.leased(to: sessions[0]) == [1, 2, 3])

        stage.run(job, to: 3, sessions)
        #expect(stage.saves().map(\.step) == [3] && stage.saves().map(\.kind) == [.periodic])
        #expect(stage.leased(to: sessions[0]) == [1, 2, 3, 4, 5, 6])
        let kinds = stage.messages(to: sessions[0]).compactMap { message -> String? in
            switch message {
            case .save: "save"
            case .lease(let lease) where lease.recipes.count > 0: "lease"
            default: nil
            }
        }
        #expect(kinds == ["lease", "save", "lease"], "whoever hears of step 4 has heard of the copy before it")
        for session in sessions {
            for case .save(let order) in stage.messages(to: session) { stage.say(.snapshotTaken(order), session) }
        }
        stage.feed(.published(job, step: 3, attempt: 1))
        #expect(stage.core.job(job)?.saved == 3)
    }

    @Test func `what is saved before the coordinator goes is pruned like any other, unless somebody asked for it`() {
        for isAsked in [false, true] {
            let (stage, job, sessions) = Stage.running(Stage.description())
            stage.run(job, to: 1, sessions)
            if isAsked { stage.feed(.ordered(.checkpoint, job)) }
            stage.feed(.ordered(.secure, job))
            stage.run(job, to: stage.leased(to: sessions[0]).max() ?? 0, sessions)

            #expect(stage.saves().map(\.kind) == [isAsked ? .user : .pause])
            stage.publish(job, sessions)
            #expect(stage.state(job) == .running)
        }
    }

    /// Seconds since the last checkpoint; the last job is so large that nobody knows whether one is written in time.
    @Test(arguments: [(30, 10_000), (3, 10_000), (30, 1_000_000_000)])
    func `before a member leaves there is a checkpoint, once, unless one was made just now or takes long`(
        pause: Int, parameters: Int
    ) {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.parameters = parameters }, workers: 3)
        for _ in 0..<pause {
            stage.wait(.seconds(1))
            for session in sessions { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 0)), session) }
        }
        stage.run(job, to: 2, sessions)
        stage.feed(.drain(Stage.node(3)))
        let edge = stage.leased(to: sessions[0]).max() ?? 0
        stage.run(job, to: edge, sessions)
        let isMade = pause >= 10 && parameters < 1_000_000
        #expect(stage.saves().map(\.step) == (isMade ? [edge] : []))
        #expect((stage.messages(to: sessions[0]).contains { if case .prepare = $0 { true } else { false } }))
        #expect(stage.generation(job) == Generation(isMade ? 1 : 2))
        guard isMade else { return }

        stage.publish(job, sessions)
        stage.run(job, to: stage.leased(to: sessions[0]).max() ?? 0, sessions)
        #expect(stage.generation(job) == Generation(2) && stage.saves().count == 1, "and then it goes")
    }

    @Test func `what a checkpoint costs is the halt of all and the longest wait in the update behind it`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 }, workers: 2)
        stage.run(job, to: 2, sessions)
        stage.wait(.milliseconds(30))
        for session in sessions {
            for case .save(let order) in stage.messages(to: session) { stage.say(.snapshotTaken(order), session) }
        }
        stage.wait(.seconds(1))
        for (session, stalled) in zip(sessions, [UInt64(5000), 20_000]) {
            var report = stage.report(job, 3)
            report.stalledMicroseconds = stalled
            stage.say(.report(report), session)
        }
        // The next one's has nothing to do with it.
        var later = stage.report(job, 4)
        later.stalledMicroseconds = 500_000
        stage.say(.report(later), sessions[0])
        stage.feed(.published(job, step: 2, attempt: 1))

        let stalls = stage.notices.compactMap { if case .saved(_, _, _, let stall, _) = $0 { stall } else { nil } }
        #expect(stalls == [.milliseconds(50)])
    }

    @Test func `a member that is still at its update when the checkpoint is ordered does not stand still`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 }, workers: 2)
        stage.run(job, to: 1, sessions)
        stage.say(.report(stage.report(job, 2)), sessions[0])
        stage.wait(.milliseconds(5))
        for case .save(let order) in stage.messages(to: sessions[0]) { stage.say(.snapshotTaken(order), sessions[0]) }
        stage.wait(.milliseconds(60))
        stage.say(.report(stage.report(job, 2)), sessions[1])
        stage.wait(.milliseconds(7))
        for case .save(let order) in stage.messages(to: sessions[1]) { stage.say(.snapshotTaken(order), sessions[1]) }
        stage.feed(.published(job, step: 2, attempt: 1))

        let stalls = stage.notices.compactMap { if case .saved(_, _, _, let stall, _) = $0 { stall } else { nil } }
        #expect(stalls == [.milliseconds(7)])
    }

    @Test func `nobody is believed to have waited longer than the checkpoint lasts`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 }, workers: 1)
        stage.run(job, to: 2, sessions)
        for case .save(let order) in stage.messages(to: sessions[0]) { stage.say(.snapshotTaken(order), sessions[0]) }
        stage.wait(.milliseconds(40))
        var report = stage.report(job, 3)
        report.stalledMicroseconds = .max
        stage.say(.report(report), sessions[0])
        stage.feed(.published(job, step: 2, attempt: 1))

        let stalls = stage.notices.compactMap { if case .saved(_, _, _, let stall, _) = $0 { stall } else { nil } }
        #expect(stalls == [.milliseconds(40)])
    }

    @Test func `a job that does not evaluate first begins with its steps, and evaluates where it would besides`() {
        for first in [true, false] {
            let (stage, job, sessions) = Stage.running(
                Stage.description {
                    ($0.evaluationSequences, $0.evaluationSteps, $0.evaluatesFirst) = (4, 2, first)
                }, workers: 1)
            func isEvaluating() -> Bool {
                stage.messages(to: sessions[0]).contains { if case .evaluate = $0 { true } else { false } }
            }
            #expect(isEvaluating() == first && stage.leased(to: sessions[0]).isEmpty == first)
            if first { evaluate(stage, sessions) }
            stage.forget()
            stage.run(job, to: 2, sessions)
            #expect(isEvaluating())
        }
    }

    @Test func `a save asks every member for its part of everything`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 1 }, workers: 2)
        stage.run(job, to: 1, sessions)

        let ranges = sessions.flatMap {
            stage.messages(to: $0).compactMap { if case .save(let order) = $0 { order.range } else { nil } }
        }
        #expect(ranges.map(\.lowerBound).min() == 0 && ranges.map(\.upperBound).max() == 10_000)
        #expect(ranges.reduce(0) { $0 + $1.count } == 10_000)
    }

    @Test(arguments: [(parameters: 10_000, expected: [true, true, true]), (5 << 20, [false, false, true])])
    func `large periodic saves are read back whole once in five minutes`(
        parameters: Int, expected: [Bool]
    ) throws {
        let description = Stage.description {
            $0.saveSteps = 1
            $0.parameters = parameters
        }
        let (stage, job, sessions) = Stage.running(description, workers: 1)
        func order() throws -> SaveOrder {
            let orders = stage.messages(to: sessions[0]).compactMap {
                if case .save(let order) = $0 { order } else { nil }
            }
            return try #require(orders.last)
        }
        for (step, isReadBack) in zip(1..., expected) {
            if step == 3 { stage.wait(.seconds(300)) }
            stage.run(job, to: step, sessions)
            #expect(try order().isReadBack == isReadBack, "step \(step)")
            stage.say(.snapshotTaken(try order()), sessions[0])
            stage.feed(.published(job, step: step, attempt: UInt32(step)))
        }
        // One that somebody asked for always is.
        stage.feed(.ordered(.checkpoint, job))
        stage.run(job, to: 4, sessions)
        #expect(stage.saves().last?.kind == .user)
        #expect(try order().isReadBack)
    }

    @Test func `a save whose member is lost is given up and taken again`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 1 })
        stage.run(job, to: 1, sessions)

        stage.feed(.connectionClosed(sessions[1]))
        #expect(stage.commands.contains(.abandon(job, attempt: 1)))
        stage.standStill(job, [sessions[0]]) { standing, _ in
            standing.hasState = true
            standing.step = 1
            standing.digest = Stage.digest(1)
        }
        stage.getReady(job, [sessions[0]])

        #expect(stage.saves().map(\.attempt) == [1, 2])
    }

    @Test func `a checkpoint that was published after all is known, and an unfit one is not`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 1 })
        stage.run(job, to: 1, sessions)
        stage.feed(.connectionClosed(sessions[1]))

        stage.feed(.published(job, step: 7, attempt: 1))
        #expect(stage.core.job(job)?.saved == 0)
        stage.feed(.published(job, step: 1, attempt: 1))

        #expect(stage.core.job(job)?.saved == 1)
        #expect(stage.journal.contains(.published(job, step: 1)))
    }

    @Test func `a checkpoint that fails is tried again after a while, three times`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 })
        func fail() {
            for session in sessions {
                for case .save(let order) in stage.messages(to: session) { stage.say(.snapshotTaken(order), session) }
            }
            if let save = stage.saves().last {
                stage.feed(.publishFailed(job, step: save.step, attempt: save.attempt, problem: "disk full"))
            }
        }
        stage.run(job, to: 2, sessions)
        fail()
        #expect(stage.saves().count == 1)
        #expect(stage.leased(to: sessions[0]).last == 4, "training goes on meanwhile")

        stage.run(job, to: 4, sessions)
        #expect(stage.saves().count == 1, "it is too early for another attempt")
        stage.wait(.seconds(3))
        stage.run(job, to: 6, sessions)
        #expect(stage.saves().count == 2)
        fail()
        stage.wait(.seconds(5))
        stage.run(job, to: 8, sessions)
        fail()

        #expect(stage.saves().count == 3)
        #expect(stage.state(job) == .paused)
    }

    @Test func `the held-out loss is added by the tree, in shard order`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description { job in
                job.evaluationSequences = 6
                job.evaluationShards = 3
                job.evaluationSteps = 2
            })
        #expect(stage.leased(to: sessions[0]).isEmpty, "first the loss before training")

        evaluate(stage, sessions.reversed())

        #expect(stage.journal.contains(.evaluated(job, step: 0, lossSum: 6, tokens: 30)))
        #expect(stage.leased(to: sessions[0]) == [1, 2])
        stage.run(job, to: 2, sessions)
        evaluate(stage, sessions)
        #expect(stage.journal.contains(.evaluated(job, step: 2, lossSum: 6, tokens: 30)))
    }

    @Test func `an answer to another question is no answer`() {
        let (stage, job, sessions) = Stage.running(
            Stage.description { job in
                job.evaluationSequences = 4
                job.evaluationShards = 4
            })
        let wrong = EvaluationOrder(job: job, generation: Generation(1), step: 0, shards: ShardRange(0, 1))

        for session in sessions {
            stage.say(.evaluated(EvaluationResult(order: wrong, lossSums: [1], tokens: [1])), session)
        }
        #expect(stage.leased(to: sessions[0]).isEmpty)
        evaluate(stage, sessions)

        #expect(stage.journal.contains(.evaluated(job, step: 0, lossSum: 10, tokens: 40)))
    }

    @Test func `a pause saves at the next boundary and then rests`() {
        let (stage, job, sessions) = Stage.running(Stage.description())
        stage.run(job, to: 1, sessions)

        stage.feed(.ordered(.pause, job))
        #expect(stage.state(job) == .running)
        stage.run(job, to: 4, sessions)
        #expect(stage.saves().map(\.kind) == [.pause] && stage.saves().map(\.step) == [4])
        stage.publish(job, sessions)

        #expect(stage.state(job) == .paused)
        #expect(stage.leased(to: sessions[0]) == [1, 2, 3, 4])
        #expect(stage.messages(to: sessions[0]).last == .release(job))
    }

    @Test func `a pause while a generation forms saves what its members have`() {
        let (stage, job, sessions) = Stage.running(Stage.description())
        stage.run(job, to: 2, sessions)
        stage.feed(.connectionClosed(sessions[1]))

        stage.feed(.ordered(.pause, job))
        stage.standStill(job, [sessions[0]]) { standing, _ in
            standing.hasState = true
            standing.step = 2
            standing.digest = Stage.digest(2)
        }
        stage.getReady(job, [sessions[0]])
        #expect(stage.saves().map(\.step) == [2])
        stage.publish(job, [sessions[0]])

        #expect(stage.state(job) == .paused)
    }

    @Test func `a pause waits for no evaluation, which is made anew afterwards`() {
        let (stage, job, sessions) = Stage.running(
            Stage.description { job in
                job.evaluationSequences = 6
                job.evaluationShards = 3
                job.evaluationSteps = 2
            })
        evaluate(stage, sessions)
        stage.run(job, to: 2, sessions)
        #expect(stage.saves().isEmpty)

        stage.feed(.ordered(.pause, job))
        #expect(stage.saves().map(\.kind) == [.pause] && stage.saves().map(\.step) == [2])
        evaluate(stage, sessions)
        stage.publish(job, sessions)

        #expect(stage.state(job) == .paused)
        #expect(!stage.journal.contains { if case .evaluated(_, step: 2, _, _) = $0 { true } else { false } })
    }

    @Test func `a pause without workers rests at once`() {
        let stage = Stage()
        let job = stage.submit()

        stage.feed(.ordered(.pause, job))

        #expect(stage.state(job) == .paused)
    }

    @Test func `a cancelled job lets go at once and for ever`() {
        let (stage, job, sessions) = Stage.running(Stage.description())
        stage.run(job, to: 1, sessions)

        stage.feed(.ordered(.cancel, job))
        stage.feed(.ordered(.resume, job))

        #expect(stage.state(job) == .cancelled)
        #expect(stage.saves().isEmpty)
        #expect(stage.messages(to: sessions[0]).last == .release(job))
    }

    @Test func `a checkpoint on request is made once`() {
        let (stage, job, sessions) = Stage.running(Stage.description())
        stage.feed(.ordered(.checkpoint, job))
        stage.run(job, to: 4, sessions)
        #expect(stage.saves().map(\.kind) == [.user])

        stage.publish(job, sessions)
        stage.run(job, to: 8, sessions)

        #expect(stage.saves().count == 1)
    }

    @Test func `saves by cost count what the steps beside a save take longer`() {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 400) { $0.savesByCost = true })
        func step(_ span: Span) {
            stage.wait(span)
            for session in sessions { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 1)), session) }
            stage.run(job, to: stage.committed(job) + 1, sessions)
        }
        func runToSave(_ number: Int) {
            for _ in 0..<40 where stage.saves().count < number { step(.seconds(1)) }
            for session in sessions {
                guard case .save(let order)? = stage.messages(to: session).last(where: { $0.isSave }) else { continue }
                stage.say(.snapshotTaken(order), session)
            }
        }
        func publish() {
            guard let save = stage.saves().last else { return }
            stage.feed(.published(job, step: save.step, attempt: save.attempt))
        }
        // As long as nothing is known, a save is taken for next to nothing.
        runToSave(1)
        #expect(stage.saves().count == 1)
        // One that slows nothing down changes nothing.
        step(.seconds(1))
        publish()
        runToSave(2)
        #expect(stage.saves().count == 2)
        // This one makes two steps longer by two seconds each: it is worth while only after minutes.
        step(.seconds(3))
        step(.seconds(3))
        publish()
        for _ in 0..<60 { step(.seconds(1)) }

        #expect(stage.saves().count == 2 && stage.state(job) == .running)
    }

    @Test func `an interval saves at the first boundary after it`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveMilliseconds = 5000 })
        stage.run(job, to: 2, sessions)
        #expect(stage.saves().isEmpty)

        stage.wait(.seconds(5))
        stage.run(job, to: 8, sessions)

        #expect(stage.saves().map(\.step) == [6])
    }
}

extension Message {
    fileprivate var isSave: Bool { if case .save = self { true } else { false } }
}
