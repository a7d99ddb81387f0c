import Collectives
import Coordination
import Terms
import Testing
import Wire

@Suite struct CoordinatorGenerationTests {
    private func stands(at step: Int, _ standing: inout Standing) {
        standing.hasState = true
        standing.step = UInt64(step)
        standing.digest = Stage.digest(step)
    }

    @Test func `a lost member costs a generation and nothing else`() throws {
        let (stage, job, sessions) = Stage.running(workers: 3)
        stage.run(job, to: 2, sessions)

        stage.feed(.connectionClosed(sessions[1]))

        #expect(stage.generation(job) == Generation(2))
        #expect(stage.messages(to: sessions[0]).last == .prepare(job, Generation(2)))
        let left = [sessions[0], sessions[2]]
        stage.standStill(job, left) { standing, _ in self.stands(at: 2, &standing) }
        let roster = try #require(stage.roster(job))
        #expect(roster.target == 2 && roster.digest == Stage.digest(2) && roster.sources == [0, 1])
        #expect(roster.members.map(\.node) == [Stage.node(1), Stage.node(3)])
        stage.getReady(job, left)
        #expect(stage.leased(to: sessions[0]).suffix(4) == [3, 4, 5, 6])
    }

    @Test func `sums that survive are kept by whoever holds them`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(shards: 8), workers: 3)
        stage.feed(.connectionClosed(sessions[2]))
        let tag = try #require(stage.recipes(job)[1]).tag

        stage.standStill(job, [sessions[0], sessions[1]]) { standing, session in
            standing.hasState = true
            standing.heldTag = tag
            standing.held = session == sessions[0] ? [ShardRange(0, 2)] : [ShardRange(3, 4), ShardRange(4, 6)]
        }

        let members = try #require(stage.roster(job)).members
        #expect(members[0].firstShards.contains { $0.contains(ShardRange(0, 2)) })
        #expect(members[1].firstShards.contains { $0.contains(ShardRange(3, 6)) })
        let all = members.flatMap { $0.firstShards.flatMap { Array($0.lower..<$0.upper) } }
        #expect(all.sorted() == Array(0..<8))
    }

    @Test func `sums of another recipe or of another step are not counted on`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(shards: 8), workers: 2)
        stage.run(job, to: 1, sessions)
        stage.feed(.connectionClosed(sessions[1]))
        stage.join(2, session: 9)
        let tag = try #require(stage.recipes(job)[1]).tag

        stage.standStill(job, [sessions[0]]) { standing, _ in
            self.stands(at: 1, &standing)
            standing.heldTag = tag
            standing.held = [ShardRange(0, 8)]
        }

        let members = try #require(stage.roster(job)).members
        #expect(members.map(\.firstShards) == members.map { [$0.shards] })
    }

    @Test func `reports that were lost on the way count at the next standstill`() {
        let (stage, job, sessions) = Stage.running(workers: 3)
        stage.feed(.connectionClosed(sessions[0]))

        stage.standStill(job, [sessions[1], sessions[2]]) { standing, session in
            guard session == sessions[1] else { return }
            self.stands(at: 3, &standing)
            standing.reports = (1...3).map { stage.report(job, $0, generation: Generation(1)) }
        }

        #expect(stage.committed(job) == 3)
        #expect(stage.roster(job)?.target == 3)
        #expect(stage.roster(job)?.sources == [0])
    }

    @Test func `a state that nobody has on record is no source`() {
        let (stage, job, sessions) = Stage.running(workers: 3)
        stage.run(job, to: 2, sessions)
        stage.feed(.connectionClosed(sessions[0]))

        stage.standStill(job, [sessions[1], sessions[2]]) { standing, session in
            self.stands(at: 2, &standing)
            if session == sessions[1] { standing.digest = 999 }
        }

        #expect(stage.roster(job)?.target == 2)
        #expect(stage.roster(job)?.sources == [1])
    }

    @Test func `nobody with a state means back to the checkpoint, and the same digests again`() {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.saveSteps = 2 }, workers: 1)
        stage.run(job, to: 2, sessions)
        stage.publish(job, sessions)
        stage.run(job, to: 3, sessions)
        stage.feed(.connectionClosed(sessions[0]))
        let new = stage.join(2, session: 8)

        stage.standStill(job, [new])
        #expect(stage.roster(job)?.target == 2 && stage.roster(job)?.sources == [])
        stage.getReady(job, [new])
        #expect(stage.leased(to: new) == [3, 4])
        stage.say(.report(stage.report(job, 3, digest: 12345)), new)

        #expect(stage.state(job) == .failed)
    }

    @Test func `a member whose state is not the job's is sent away, and the job goes on`() {
        let (stage, job, sessions) = Stage.running(workers: 3)
        stage.run(job, to: 1, sessions)
        stage.feed(.connectionClosed(sessions[0]))
        stage.standStill(job, [sessions[1], sessions[2]]) { standing, _ in self.stands(at: 1, &standing) }
        stage.forget()

        stage.say(.ready(Position(job: job, generation: Generation(2), step: 1, digest: 4)), sessions[1])

        #expect(stage.messages(to: sessions[1]) == [.release(job)])
        #expect(stage.messages(to: sessions[2]) == [.prepare(job, Generation(3))])
        #expect(stage.state(job) == .running)
    }

    @Test func `a worker that comes late joins when everybody has applied what is leased`() {
        let (stage, job, sessions) = Stage.running(workers: 2)
        stage.wait(.seconds(2))
        let late = stage.join(3)

        for step in 1...4 { stage.say(.report(stage.report(job, step)), sessions[0]) }
        #expect(stage.committed(job) == 4)
        #expect(stage.generation(job) == Generation(1), "the other member is still behind")
        for step in 1...4 { stage.say(.report(stage.report(job, step)), sessions[1]) }

        #expect(stage.generation(job) == Generation(2))
        #expect(stage.messages(to: late).last == .prepare(job, Generation(2)))
        #expect(stage.leased(to: sessions[0]) == [1, 2, 3, 4])
    }

    @Test func `nobody is left without a shard, however slow`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(shards: 3), workers: 3)
        for session in sessions {
            var report = stage.report(job, 1)
            report.computeMicroseconds = session == sessions[0] ? 1_000_000_000 : 1000
            stage.say(.report(report), session)
        }

        stage.feed(
            .received(
                .trouble(
                    Trouble(
                        job: job, generation: Generation(1), step: 2, kind: .stalled, text: "")), from: sessions[0]))
        stage.wait(.seconds(1))
        stage.standStill(job, sessions) { standing, _ in self.stands(at: 1, &standing) }

        #expect(try #require(stage.roster(job)).members.map(\.shards.count) == [1, 1, 1])
    }

    @Test func `no more members than shards`() {
        let (stage, job, _) = Stage.running(Stage.description(shards: 2, workers: 1...9), workers: 4)

        #expect(stage.roster(job)?.members.count == 2)
    }

    @Test func `below its minimum a job waits, and says so`() {
        let (stage, job, sessions) = Stage.running(Stage.description(workers: 2...4), workers: 2)

        stage.feed(.connectionClosed(sessions[0]))
        #expect(stage.state(job) == .waitingForWorkers)
        #expect(stage.core.job(job)?.reason == "1 of 2 workers")
        stage.join(3)

        #expect(stage.generation(job) == Generation(2))
    }

    @Test func `members that lose each other again and again are given time`() {
        let (stage, job, sessions) = Stage.running(workers: 2)
        for expected in 2...5 {
            let generation = stage.generation(job)
            stage.say(
                .trouble(Trouble(job: job, generation: generation, step: 1, kind: .stalled, text: "")), sessions[0])
            var waited = 0
            while stage.generation(job) == generation, waited < 1000 {
                stage.wait(.milliseconds(50))
                for session in sessions { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 1)), session) }
                waited += 1
            }
            #expect(stage.generation(job) == Generation(UInt32(expected)))
            #expect(waited >= 1 << (expected - 1), "generation \(expected) came after \(waited * 50) ms")
            stage.start(job, sessions)
        }
    }
}
