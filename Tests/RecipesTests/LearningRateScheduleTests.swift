import Recipes
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

        #expect(schedule.annealSteps == 15)
        #expect(schedule.annealStart == 86)
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

    @Test func `an anneal that a plan event adds starts from the rate it meets`() {
        var schedule = LearningRateSchedule(kind: .cosine, peak: 1, warmupRatio: 0, plannedSteps: 100)
        let met = schedule.rate(at: 41)
        schedule.annealStart = 41
        schedule.annealSteps = 4

        #expect(schedule.rate(at: 41) == met)
        #expect(abs(schedule.rate(at: 42) - met * 0.5) < 1e-15)
        #expect(schedule.rate(at: 45) == 0)
        #expect(schedule.rate(at: 46) == 0)
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
