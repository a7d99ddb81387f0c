import Budgeting
import Coordination
import Terms
import Testing
import Wire

/// Energy and money: declared by a rate card, or measured by the workers' machines. Two workers of four threads.
@Suite struct CoordinatorEnergyTests {
    @Test func `energy and money follow a rate card, and are held without one`() {
        let card = RateCard(
            milliwattsPerCore: 5000, moneyPerCoreHour: 20_000, moneyPerKilowattHour: 300_000, currency: "EUR")

        #expect(card.energy(coreTime: 3_600_000) == 18_000_000)
        #expect(card.costs(coreTime: 3_600_000, wallClock: 0).money == 20_000 + 1_500)
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.budget[.energy] = 1_000_000 })
        let sessions = (1...2).map { stage.hello($0) }
        sessions.forEach(stage.load)
        stage.start(job, sessions)
        #expect(stage.state(job) == .budgetExhausted)
        #expect(
            stage.core.job(job)?.reason == "held: budget.energy needs watts_per_core in the rate card")
    }

    /// Its own limit, or its project's; of energy, or of money where only the kWh has a price.
    @Test(arguments: [BudgetUnit.energy, .money], [true, false])
    func `without a declared power a job waits for workers that measure, and is held for those that do not`(
        unit: BudgetUnit, isOwn: Bool
    ) {
        for measures in [true, false] {
            let stage = Stage(rates: RateCard(moneyPerKilowattHour: 300_000, currency: "EUR"))
            if !isOwn {
                var limits = Budget()
                limits[unit] = 1_000_000
                stage.feed(.projectLimited("shop", limits))
            }
            let job = stage.submit(
                Stage.description {
                    $0.project = "shop"
                    if isOwn { $0.budget[unit] = 1_000_000 }
                })
            stage.wait(.seconds(1))
            #expect(stage.state(job)?.isAtRest == false, "nobody knows yet")

            let sessions = (1...2).map { stage.hello($0) }
            for session in sessions {
                if measures { stage.say(power(30), session) }
                stage.load(session)
            }
            stage.start(job, sessions)
            #expect(stage.state(job) == (measures ? .running : .budgetExhausted), "\(unit) \(measures)")
        }
    }

    @Test func `as long as one worker is still loading nobody says that none measures`() {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.budget[.energy] = 1_000_000 })
        let sessions = (1...2).map { stage.hello($0) }
        stage.load(sessions[0])
        #expect(stage.state(job)?.isAtRest == false)

        stage.say(power(30), sessions[1])
        stage.load(sessions[1])
        stage.start(job, sessions)

        #expect(stage.state(job) == .running)
    }

    @Test func `progress that is in no checkpoint is not given up for a limit that can't be counted`() {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.project = "shop" })
        let sessions = (1...2).map { stage.hello($0) }
        sessions.forEach(stage.load)
        stage.start(job, sessions)
        stage.run(job, to: 3, sessions)
        var limits = Budget()
        limits[.energy] = 1_000_000
        stage.feed(.projectLimited("shop", limits))

        stage.feed(.connectionClosed(sessions[1]))
        stage.wait(.seconds(1))

        #expect(stage.state(job)?.isAtRest == false && stage.committed(job) == 3)
    }

    /// A coordinator whose workers all read counters, without a declared power.
    private static let measuring: RateCard = {
        var card = RateCard()
        card.isEnergyMeasured = true
        return card
    }()

    private func power(_ watts: UInt64) -> Message { .power(PowerReading(milliwatts: watts * 1000)) }

    @Test func `energy that counters measure is charged as measured, and ends a job like any limit`() throws {
        let stage = Stage(rates: Self.measuring)
        let job = stage.submit(Stage.description(steps: 40) { $0.budget[.energy] = 2_000_000 })
        let sessions = (1...2).map { stage.hello($0) }
        for session in sessions {
            stage.load(session)
            stage.say(power(30), session)
        }
        stage.start(job, sessions)

        stage.runOut(job, sessions, step: .seconds(1))

        let ledger = try #require(stage.core.job(job)?.ledger)
        let joules = Double(ledger.spent.energy) / 1000
        // Sixty watts for every second that the job had its workers.
        #expect(abs(joules - 60 * Double(ledger.spent.wallClock) / 1000) < 1)
        #expect(stage.state(job) == .budgetExhausted && joules <= 2000 && joules > 1600)
        #expect(ledger.energyMethods == [.measured] && ledger.conservationFault == nil)
        let next = try stage.restarted()
        #expect(next.core.job(job)?.ledger?.energyMethods == [.measured])
        #expect(next.core.snapshot() == stage.core.snapshot())
    }

    @Test func `a reading says what was drawn since the last one, and until then that one is believed`() throws {
        var card = RateCard(milliwattsPerCore: 10_000)
        card.isEnergyMeasured = false
        let stage = Stage(rates: card)
        let job = stage.submit(Stage.description(steps: 40))
        let sessions = [stage.hello(1)]
        sessions.forEach(stage.load)
        stage.start(job, sessions)
        func spent() -> Int64 { stage.core.job(job)?.ledger?.spent.energy ?? 0 }
        func step(_ number: Int) {
            stage.wait(.seconds(1))
            stage.say(.report(stage.report(job, number)), sessions[0])
        }

        // Four threads of ten watts, as the card says, until it turns out to have been a hundred.
        step(1)
        #expect(spent() == 40_000)
        stage.wait(.seconds(1))
        stage.say(power(100), sessions[0])
        stage.say(.report(stage.report(job, 2)), sessions[0])
        #expect(spent() == 200_000)
        #expect(stage.core.job(job)?.ledger?.energyMethods == [.modelled, .measured])
        step(3)
        #expect(spent() == 300_000)
        // Less than was believed: nothing more is charged until that is made up for.
        stage.wait(.seconds(1))
        stage.say(power(50), sessions[0])
        #expect(spent() == 300_000)
        stage.say(.report(stage.report(job, 4)), sessions[0])
        #expect(spent() == 300_000)
        step(5)
        #expect(spent() == 350_000)
        // No machine draws so much.
        stage.say(.power(PowerReading(milliwatts: .max)), sessions[0])
        step(6)
        #expect(spent() == 400_000)
    }

    @Test func `a worker that measures nothing costs what the card says, beside one that does`() throws {
        let stage = Stage(rates: RateCard(milliwattsPerCore: 1000))
        let job = stage.submit(Stage.description(steps: 40))
        let sessions = (1...2).map { stage.hello($0) }
        sessions.forEach(stage.load)
        stage.say(power(6), sessions[0])
        stage.start(job, sessions)
        stage.wait(.seconds(2))
        for session in sessions { stage.say(.report(stage.report(job, 1)), session) }

        let ledger = try #require(stage.core.job(job)?.ledger)
        #expect(ledger.spent.energy == 2 * (6000 + 4 * 1000))
        #expect(EnergyMethod.text(ledger.energyMethods) == "measured and modelled")
    }

    @Test func `limits in another currency than the money spent are refused, and nothing of the job changes`() throws {
        let stage = Stage(rates: RateCard(moneyPerCoreHour: 500_000, currency: "GBP"))
        let job = stage.submit(
            Stage.description(steps: 40) {
                $0.budget[.money] = 60_000_000
                $0.budget.currency = "GBP"
            })
        let sessions = [stage.join(1)]
        stage.start(job, sessions)
        for step in 1...3 {
            stage.pass(.seconds(1), sessions)
            stage.run(job, to: step, sessions)
        }
        let before = try #require(stage.core.job(job))
        #expect(before.ledger.map { $0.spent.money > 0 } == true)
        var other = before.description
        other.budget[.money] = 5_000_000
        other.budget.currency = "EUR"
        other.budget[.steps] = 13

        var core = stage.core
        #expect(throws: LedgerRefusal.otherCurrency) {
            _ = try core.amend(job, to: other, limiting: [.steps, .money])
        }
        #expect(core.job(job)?.description == before.description && core.job(job)?.limits == before.limits)

        #expect(try core.amend(job, to: other, limiting: [.steps]).journal.count == 2)
        let limits = try #require(core.job(job)?.limits)
        #expect(limits[.steps] == 13 && limits[.money] == 60_000_000 && limits.currency == "GBP")
    }
}
