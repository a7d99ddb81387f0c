import Checkpoints
import Terms
import Testing

@Suite struct RetentionPolicyTests {
    private func candidate(
        _ step: Step, sequence: Int, kind: Manifest.Kind = .periodic, health: RetentionCandidate.Health = .verified,
        restores: [Manifest.Restore] = [], pinned: Bool = false, loss: Double? = nil, epoch: Int = 1
    ) -> RetentionCandidate {
        RetentionCandidate(
            name: ManifestName(step: step, epoch: epoch, digest: digest(UInt8(sequence))), step: step,
            sequence: sequence, kind: kind, lineage: .init(restores: restores), health: health, isPinned: pinned,
            evaluationLoss: loss)
    }
    private func line(_ count: Int) -> [RetentionCandidate] {
        (0..<count).map { candidate(10 * ($0 + 1), sequence: $0) }
    }
    private func kept(_ policy: RetentionPolicy, _ candidates: [RetentionCandidate]) -> [Step] {
        policy.decide(candidates).filter(\.keeps).map(\.name.step)
    }

    @Test func `the last N stay and N is never below two`() {
        #expect(kept(.init(last: 3), line(6)) == [60, 50, 40])
        for last in [-5, 0, 1, 2] { #expect(kept(.init(last: last), line(6)) == [60, 50]) }
        #expect(kept(.init(last: 3), line(1)) == [10])
        #expect(RetentionPolicy(last: 2).decide([]).isEmpty)
    }

    @Test func `milestones, the best, pins and special kinds stay and say why`() {
        var list = line(9)
        list[0].kind = .trunk
        list[1].isPinned = true
        list[2].evaluationLoss = 0.5
        list[4].evaluationLoss = 0.4
        list[5].evaluationLoss = .nan

        let decisions = RetentionPolicy(last: 2, every: 40, best: 1).decide(list)

        #expect(decisions.map(\.name.step) == [90, 80, 70, 60, 50, 40, 30, 20, 10])
        #expect(
            decisions.map(\.reason) == [
                .newest, .lastChecked, .expired, .expired, .best(of: 1), .milestone(every: 40), .expired, .pinned,
                .kind(.trunk),
            ])
        #expect(decisions.allSatisfy { !$0.reason.description.isEmpty })
    }

    @Test func `one that a person asked for stays until it is given back, trunk and final ones always`() {
        var list = line(7)
        (list[0].kind, list[1].kind, list[2].kind) = (.trunk, .final, .user)
        #expect(kept(.init(last: 2), list) == [70, 60, 30, 20, 10])
        for place in list.indices { list[place].isReleased = true }
        #expect(kept(.init(last: 2), list) == [70, 60, 20, 10])
        list[2].isPinned = true
        #expect(kept(.init(last: 2), list) == [70, 60, 30, 20, 10])
    }

    @Test func `nothing goes before something newer is checked, and the two newest checked never go`() {
        let unknown = line(5).map { candidate in
            var candidate = candidate
            candidate.health = .unknown
            return candidate
        }
        #expect(kept(.init(last: 2), unknown) == [50, 40, 30, 20, 10])

        var mixed = unknown
        mixed[0].health = .verified
        mixed[1].health = .verified
        #expect(kept(.init(last: 2), mixed) == [50, 40, 30, 20, 10])
        mixed[2].health = .verified
        #expect(kept(.init(last: 2), mixed) == [50, 40, 30, 20])
    }

    @Test func `a sampled one lets older ones go, but never the newest verified`() {
        var list = line(6)
        for place in [1, 3, 4, 5] { list[place].health = .sampled }
        // 10 and 30 are verified, the others sampled.
        let decisions = RetentionPolicy(last: 2).decide(list)
        #expect(
            decisions.map(\.reason) == [.newest, .lastChecked, .expired, .lastVerified, .expired, .expired])

        for place in list.indices { list[place].health = .sampled }
        #expect(kept(.init(last: 2), list) == [60, 50])
    }

    @Test func `damaged ones neither count nor go`() {
        var list = line(5)
        list[4].health = .damaged
        #expect(kept(.init(last: 2), list) == [50, 40, 30])
        #expect(RetentionPolicy(last: 2).decide(list).first?.reason == .damaged)
        let all = list.map { candidate in
            var candidate = candidate
            candidate.health = .damaged
            return candidate
        }
        #expect(kept(.init(last: 2), all).count == 5)
    }

    @Test func `a line that training has left goes, whatever its step numbers`() {
        // 10 20 30 40 published, then training went back to 20 and published 25.
        let restores = [Manifest.Restore(sequence: 3, step: 20)]
        let list = line(4) + [candidate(25, sequence: 4, restores: restores)]

        let decisions = RetentionPolicy(last: 2).decide(list)

        #expect(decisions.map(\.name.step) == [25, 40, 30, 20, 10])
        #expect(decisions.map(\.reason) == [.newest, .superseded, .superseded, .lastChecked, .expired])
    }

    @Test func `on a new line nothing goes until two of it are checked`() {
        let restores = [Manifest.Restore(sequence: 3, step: 20)]
        let fresh = candidate(25, sequence: 4, health: .unknown, restores: restores)
        #expect(kept(.init(last: 2), line(4) + [fresh]) == [25, 40, 30, 20, 10])
    }

    @Test func `a later start of the coordinator is newer than a higher step`() {
        let list = [candidate(50, sequence: 9, epoch: 1), candidate(40, sequence: 3, epoch: 2)]
        #expect(RetentionPolicy(last: 2).decide(list).first?.name.step == 40)
    }

    @Test func `the order of candidates does not matter`() {
        let list = line(7)
        let expected = RetentionPolicy(last: 3, every: 20, best: 2).decide(list)
        #expect(RetentionPolicy(last: 3, every: 20, best: 2).decide(list.reversed()) == expected)
    }
}
