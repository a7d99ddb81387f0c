import Budgeting
import Collectives
import Coordination
import Recipes
import Terms
import Testing
import Wire

@Suite struct CoordinatorStepTests {
    @Test func `a job goes from QUEUED over STARTING to RUNNING`() {
        let (stage, job, _) = Stage.running()

        let states = stage.journal.compactMap { if case .state(_, let state, _) = $0 { state } else { nil } }
        #expect(states == [.starting, .running])
        #expect(stage.state(job) == .running)
        #expect(stage.generation(job) == Generation(1))
    }

    @Test func `the roster shares out every shard and every parameter once`() throws {
        let (stage, job, _) = Stage.running(Stage.description(shards: 5), workers: 3)

        let roster = try #require(stage.roster(job))
        #expect(roster.members.flatMap { Array($0.shards.lower..<$0.shards.upper) } == Array(0..<5))
        #expect(roster.members.map(\.firstShards) == roster.members.map { [$0.shards] })
        #expect(roster.members.first?.slice.lowerBound == 0 && roster.members.last?.slice.upperBound == 10_000)
        #expect(roster.target == 0 && roster.sources.isEmpty)
    }

    @Test func `a lease holds recipes that are in the journal, and reaches no further than the window`() throws {
        let (stage, job, sessions) = Stage.running()

        #expect(stage.leased(to: sessions[0]) == [1, 2, 3, 4])
        #expect(stage.leased(to: sessions[1]) == [1, 2, 3, 4])
        #expect(stage.recipes(job).keys.sorted() == [1, 2, 3, 4])
        guard case .lease(let lease)? = stage.messages(to: sessions[0]).last else {
            Issue.record("the last message is no lease")
            return
        }
        #expect(
            lease.recipes == stage.journal.compactMap { if case .recipe(_, _, let bytes) = $0 { bytes } else { nil } })
    }

    @Test func `a lease holds two seconds of steps once their pace is known, but few when a budget counts them`() {
        func ahead(_ change: (inout JobDescription) -> Void = { _ in }) -> Int {
            let (stage, job, sessions) = Stage.running(Stage.description(steps: 1000, change: change))
            for step in 1...20 {
                stage.wait(.milliseconds(100))
                for session in sessions { stage.say(.report(stage.report(job, step)), session) }
            }
            return (stage.leased(to: sessions[0]).last ?? 0) - 20
        }
        #expect((10...20).contains(ahead()))
        #expect(ahead { $0.budget[.steps] = 500 } <= 4)
    }

    @Test func `the first valid report commits a step, the others must agree`() {
        let (stage, job, sessions) = Stage.running()

        stage.say(.report(stage.report(job, 1)), sessions[1])
        #expect(stage.committed(job) == 1)
        stage.say(.report(stage.report(job, 1)), sessions[0])
        #expect(stage.committed(job) == 1)

        let commits = stage.journal.compactMap { if case .committed(_, let step) = $0 { step } else { nil } }
        #expect(commits.count == 1)
        #expect(commits[0].digest == Stage.digest(1) && commits[0].inputTokens == 40 && commits[0].trainedTokens == 36)
        #expect(commits[0].lossSum == 1 && commits[0].workers == 2 && commits[0].generation == Generation(1))
    }

    @Test func `two workers that disagree on a state stop the job`() {
        let (stage, job, sessions) = Stage.running()
        stage.say(.report(stage.report(job, 1)), sessions[0])

        stage.say(.report(stage.report(job, 1, digest: 5)), sessions[1])

        #expect(stage.state(job) == .failed)
        #expect(stage.core.job(job)?.reason.contains("disagree") == true)
        #expect(stage.messages(to: sessions[0]).last == .release(job))
    }

    @Test func `a report out of order, of another recipe, generation or stranger counts nothing`() {
        let (stage, job, sessions) = Stage.running()
        var other = stage.report(job, 1)
        other.recipeTag ^= 1

        stage.say(.report(stage.report(job, 2)), sessions[0])
        stage.say(.report(other), sessions[1])
        stage.say(.report(stage.report(job, 1, generation: Generation(9))), sessions[1])
        stage.say(.report(stage.report(job, 1)), stage.hello(7))

        #expect(stage.committed(job) == 0)
    }

    @Test func `leases go on as steps are applied, and end with the plan`() {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 7))

        stage.run(job, to: 7, sessions)

        #expect(stage.leased(to: sessions[0]) == Array(1...7))
        #expect(stage.saves().map(\.kind) == [.final])
        #expect(stage.state(job) == .running)
        stage.publish(job, sessions)
        #expect(stage.state(job) == .done)
    }

    @Test func `non-finite twice at one step is DIVERGED, once is not`() {
        let (stage, job, sessions) = Stage.running()
        func trouble(_ step: UInt64) -> Message {
            .trouble(Trouble(job: job, generation: stage.generation(job), step: step, kind: .nonFinite, text: "inf"))
        }

        stage.say(trouble(1), sessions[0])
        #expect(stage.state(job) == .running)
        stage.start(job, sessions)
        stage.run(job, to: 1, sessions)
        stage.say(trouble(2), sessions[0])
        stage.start(job, sessions)
        #expect(stage.state(job) == .running)
        stage.say(trouble(2), sessions[1])

        #expect(stage.state(job) == .diverged)
    }
}
