import Recipes
import Terms
import Testing

@Suite struct LearningRateScheduleTests {
    private func rates(_ kind: LearningRateSchedule.Kind, ratio: Double, steps: Int) -> [Double] {
        let schedule = LearningRateSchedule(kind: kind, peak: 1, warmupRatio: ratio, plannedSteps: steps)
        return (1...steps).map(schedule.rate(at:))
    }

    private func isClose(_ left: [Double], _ right: [Double]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { abs($0 - $1) <= 1e-15 }
    }

    @Test func `linear is the lambda of transformers`() {
        // get_linear_schedule_with_warmup(num_warmup_steps=3, num_training_steps=10), lambda at 0…9.
        let expected = [
            0, 0.3333333333333333, 0.6666666666666666, 1, 0.8571428571428571, 0.7142857142857143, 0.5714285714285714,
            0.42857142857142855, 0.2857142857142857, 0.14285714285714285,
        ]

        #expect(isClose(rates(.linear, ratio: 0.3, steps: 10), expected))
    }

    @Test func `cosine is the lambda of transformers`() {
        // get_cosine_schedule_with_warmup(num_warmup_steps=3, num_training_steps=10), lambda at 0…9.
        let expected = [
            0, 0.3333333333333333, 0.6666666666666666, 1, 0.9504844339512095, 0.8117449009293668, 0.6112604669781572,
            0.38873953302184283, 0.18825509907063326, 0.04951556604879048,
        ]

        #expect(isClose(rates(.cosine, ratio: 0.3, steps: 10), expected))
    }

    @Test func `constant warms up and stays`() {
        #expect(rates(.constant, ratio: 0.25, steps: 8) == [0, 0.5, 1, 1, 1, 1, 1, 1])
        #expect(rates(.constant, ratio: 0, steps: 3) == [1, 1, 1])
    }

    @Test func `warm-up is the ceiling of the ratio of the planned steps`() {
        func warmup(_ ratio: Double, _ steps: Int) -> Int {
            LearningRateSchedule(kind: .constant, peak: 1, warmupRatio: ratio, plannedSteps: steps).warmupSteps
        }

        #expect(warmup(0.03, 100) == 3)
        #expect(warmup(0.03, 101) == 4)
        #expect(warmup(0.001, 10) == 1)
        #expect(warmup(0, 10) == 0)
        #expect(warmup(1, 10) == 10)
    }

    @Test func `wsd anneals over the last 15 % with one minus the root of the progress`() {
        let schedule = LearningRateSchedule(kind: .wsd, peak: 2, warmupRatio: 0.1, plannedSteps: 100)

        #expect(LearningRateSchedule.annealLength(plannedSteps: 100) == 15)
        #expect(schedule.rate(at: 1) == 0)
        #expect(schedule.rate(at: 6) == 1)
        #expect((11...86).allSatisfy { schedule.rate(at: $0) == 2 })
        for step in 87...100 {
            let progress = Double(step - 86) / 15
            #expect(abs(schedule.rate(at: step) - 2 * (1 - progress.squareRoot())) < 1e-15)
        }
        #expect(schedule.rate(at: 101) == 0)
        #expect(schedule.rate(at: 500) == 0)
    }

    @Test func `an anneal that a limit begins starts from the rate it meets`() {
        var schedule = LearningRateSchedule(kind: .cosine, peak: 1, warmupRatio: 0, plannedSteps: 100)
        let met = schedule.rate(at: 41)
        schedule.events = [schedule.event(after: 40, cause: .limit, end: 44, limit: "tokens", annealing: 4)]

        #expect(schedule.events[0].trunk == 40)
        #expect(schedule.rate(at: 41) == met)
        #expect(abs(schedule.rate(at: 42) - met * 0.5) < 1e-15)
        #expect(schedule.rate(at: 45) == 0)
        #expect(schedule.rate(at: 46) == 0)
    }

    @Test func `the plan to the natural end changes no rate`() {
        for kind in LearningRateSchedule.Kind.allCases {
            let plain = LearningRateSchedule(kind: kind, peak: 3, warmupRatio: 0.1, plannedSteps: 100)
            var planned = plain
            planned.events = [plain.event(after: 0, cause: .start, end: 100)]
            #expect((1...100).allSatisfy { plain.rate(at: $0) == planned.rate(at: $0) })
        }
    }

    @Test func `a budget's plan anneals wsd, constant and cosine, and bends linear to its end`() {
        for kind in LearningRateSchedule.Kind.allCases {
            var schedule = LearningRateSchedule(kind: kind, peak: 1, warmupRatio: 0, plannedSteps: 100)
            let plain = schedule
            schedule.events = [schedule.event(after: 0, cause: .start, end: 40, limit: "steps")]
            let event = schedule.events[0]

            #expect(event.end == 40 && event.trunk == 34 && event.isWellFormed)
            #expect(schedule.rate(at: 41) == 0)
            if kind == .linear {
                #expect(event.annealSteps == 0)
                #expect(schedule.rate(at: 21) == 0.5)
            } else {
                #expect(event.annealSteps == 6)
                #expect((1...35).allSatisfy { schedule.rate(at: $0) == plain.rate(at: $0) })
                let root = (1.0 / 6.0).squareRoot()
                #expect(abs(schedule.rate(at: 36) - plain.rate(at: 35) * (1 - root)) < 1e-15)
            }
        }
    }

    @Test func `a top-up goes on from the trunk as if there had been no limit`() {
        for kind in [LearningRateSchedule.Kind.wsd, .constant, .cosine] {
            var schedule = LearningRateSchedule(kind: kind, peak: 1, warmupRatio: 0.05, plannedSteps: 100)
            let plain = schedule
            schedule.events = [schedule.event(after: 0, cause: .start, end: 40, limit: "steps")]
            schedule.events.append(schedule.event(after: 38, cause: .limit, end: 39, limit: "steps", annealing: 1))
            schedule.events.append(schedule.event(after: 34, cause: .topup, end: 100))
            #expect((1...100).allSatisfy { schedule.rate(at: $0) == plain.rate(at: $0) })
        }
    }

    @Test func `an anneal cut shorter goes on from where it is`() {
        var schedule = LearningRateSchedule(kind: .wsd, peak: 1, warmupRatio: 0, plannedSteps: 100)
        schedule.events = [schedule.event(after: 0, cause: .start, end: 80, limit: "wall_clock")]
        let met = schedule.rate(at: 73)
        schedule.events.append(schedule.event(after: 72, cause: .limit, end: 76, limit: "wall_clock", annealing: 4))

        #expect(schedule.rate(at: 73) == met && met > 0)
        #expect(abs(schedule.rate(at: 74) - met * 0.5) < 1e-15)
        #expect(schedule.rate(at: 77) == 0)
    }

    @Test func `an ending never begins before its plan takes effect`() {
        let schedule = LearningRateSchedule(kind: .wsd, peak: 1, warmupRatio: 0, plannedSteps: 100)

        let late = schedule.event(after: 97, cause: .topup, end: 100)
        #expect(late.trunk == 97 && late.annealStart == 97 && late.annealSteps == 3)
        let none = schedule.event(after: 50, cause: .limit, end: 40, limit: "steps")
        #expect(none.end == 50 && none.annealSteps == 0 && none.isWellFormed)
    }

    @Test func `a plan log reads back, and nothing else does`() {
        let schedule = LearningRateSchedule(kind: .wsd, peak: 1, warmupRatio: 0, plannedSteps: 100)
        let event = schedule.event(after: 3, cause: .warning, end: 60, limit: "core_hours")

        #expect(PlanEvent(event.json) == event)
        var broken = event
        broken.annealSteps = 90
        #expect(PlanEvent(broken.json) == nil)
        #expect(PlanEvent(.null) == nil)
    }

    @Test func `rates are never negative nor above the peak`() {
        for kind in LearningRateSchedule.Kind.allCases {
            for steps in 1...20 {
                let schedule = LearningRateSchedule(kind: kind, peak: 3, warmupRatio: 0.1, plannedSteps: steps)
                #expect((1...steps + 5).allSatisfy { (0...3).contains(schedule.rate(at: $0)) })
            }
        }
    }
}
