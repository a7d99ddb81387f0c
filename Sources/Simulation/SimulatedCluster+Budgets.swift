import Budgeting
import Coordination
import Terms
import Wire

/// The least and the most that any rate card or meter of a cluster ever said.
struct RateRange {
    var low: RateCard
    var high: RateCard
    /// Lives of the coordinator, each of which may forget less than a millisecond of a core and a millijoule.
    var lives = 0

    init(_ rates: RateCard) { (low, high) = (rates, rates) }

    mutating func include(_ rates: RateCard) {
        func widen(_ rate: WritableKeyPath<RateCard, Int64>) {
            low[keyPath: rate] = min(low[keyPath: rate], rates[keyPath: rate])
            high[keyPath: rate] = max(high[keyPath: rate], rates[keyPath: rate])
        }
        widen(\.milliwattsPerCore)
        widen(\.moneyPerCoreHour)
        widen(\.moneyPerKilowattHour)
    }
}

// MARK: Rates
extension SimulatedCluster {
    /// Draws what energy and money are taken to be: nothing, or power, or prices, or both.
    static func drawRates(seed: UInt64) -> RateCard {
        var dice = Dice(seed: seed, stream: 2)
        var rates = RateCard()
        guard dice.chance(700) else { return rates }
        if dice.chance(750) { rates.milliwattsPerCore = Int64(dice.within(500...20_000)) }
        guard dice.chance(750) else { return rates }
        rates.currency = "EUR"
        if dice.chance(800) { rates.moneyPerCoreHour = Int64(dice.within(10_000...5_000_000)) }
        if dice.chance(700) { rates.moneyPerKilowattHour = Int64(dice.within(50_000...2_000_000)) }
        return rates
    }

    /// Somebody writes another rate card for the next start: what is declared costs more, or less.
    func changeRates() {
        guard dice.chance(plan.otherRates) else { return }
        for rate in [\RateCard.milliwattsPerCore, \.moneyPerCoreHour, \.moneyPerKilowattHour]
        where rates[keyPath: rate] > 0 {
            rates[keyPath: rate] = max(1, rates[keyPath: rate] * Int64(dice.within(50...200)) / 100)
        }
        rateRange.include(rates)
    }

    /// Whether a limit in force is one that the rate card can't count.
    func isUncounted(_ run: JobRun) -> Bool {
        var (card, bounds) = (rates, run.limits)
        card.isEnergyMeasured = false
        if run.description.project == Self.project {
            for unit in BudgetUnit.allCases { bounds[unit] = bounds[unit] ?? projectLimits[unit] }
        }
        return card.fault(with: bounds) != nil
    }
}

// MARK: Limits
extension SimulatedCluster {
    /// Draws a limit of energy or money: what so much time of cores takes, about.
    private static func drawLimit(
        _ unit: BudgetUnit, coreTime: Int64, _ rates: RateCard, _ limits: inout Budget
    ) {
        // Where only meters know, about what they say.
        let energy = rates.milliwattsPerCore > 0 ? rates.energy(coreTime: coreTime) : coreTime * 5
        var other = limits
        other[unit] = max(1, rates.costs(coreTime: coreTime, wallClock: 0, energy: energy)[unit])
        if unit == .money { other.currency = rates.currency }
        // A client is told of a limit that the card can't count.
        if rates.fault(with: other) == nil { limits = other }
    }

    /// Draws a job's limits; mostly there is none.
    func drawLimits(steps: Int, batch: Int) -> Budget {
        var limits = Budget()
        if dice.chance(100) { limits[.steps] = Int64(dice.within(1...steps)) }
        if dice.chance(100) { limits[.tokens] = Int64(dice.within(1...steps * batch * 100)) }
        if dice.chance(50) { limits[.wallClock] = Int64(dice.within(1...60_000)) }
        if dice.chance(50) { limits[.coreTime] = Int64(dice.within(1...200_000)) }
        for unit in [BudgetUnit.energy, .money] where dice.chance(80) {
            Self.drawLimit(unit, coreTime: Int64(dice.within(1...200_000)), rates, &limits)
        }
        return limits
    }

    /// Draws what the jobs of a project may spend together; mostly there is none.
    static func drawProject(_ rates: RateCard, _ dice: inout Dice) -> Budget {
        var limits = Budget()
        guard dice.chance(250) else { return limits }
        switch dice.below(8) {
        case 0, 1: limits[.steps] = Int64(dice.within(1...60))
        case 2, 3: limits[.tokens] = Int64(dice.within(1...20_000))
        case 4: limits[.wallClock] = Int64(dice.within(1...100_000))
        case 5: limits[.coreTime] = Int64(dice.within(1...400_000))
        case 6: drawLimit(.energy, coreTime: Int64(dice.within(1...400_000)), rates, &limits)
        default: drawLimit(.money, coreTime: Int64(dice.within(1...400_000)), rates, &limits)
        }
        return limits
    }

    /// An operator grants a job half as much again, and a little.
    func grant(_ job: JobID) {
        guard head.core != nil, head.stalledUntil <= now, let record = record(job), let run = head.core?.job(job) else {
            return
        }
        var limits = run.limits
        for unit in BudgetUnit.allCases { limits[unit] = limits[unit].map { $0 + $0 / 2 + 2 } }
        guard limits != run.limits else { return }
        trace.note(now, what: 17, whom: Int(job.number))
        tell("operator: grants job \(job) more")
        head.records[record].grants += 1
        feedCoordinator(.limited(job, limits))
    }
}

// MARK: Meters
extension SimulatedCluster {
    /// What a core with its part of a machine draws, by meters.
    private static let milliwatts = 300...30_000

    /// Gives a machine counters of what it draws.
    func addMeter(_ worker: SimulatedWorker) {
        worker.milliwattsPerCore = dice.within(Self.milliwatts)
        rateRange.include(RateCard(milliwattsPerCore: 0))
        rateRange.include(RateCard(milliwattsPerCore: Int64(Self.milliwatts.upperBound)))
    }

    /// A process that was just started says that its machine measures; nothing is known of the time before.
    func beginMetering(_ worker: SimulatedWorker) {
        guard worker.milliwattsPerCore != nil else { return }
        feed(worker, .powerRead(PowerReading(milliwatts: 0)))
        schedule(.readsPower(worker: worker.index, boot: worker.boot), after: dice.span(milliseconds: 50...2000))
    }

    /// A worker reads its machine's counters.
    func readPower(_ worker: SimulatedWorker, _ boot: Int) {
        guard worker.isAlive, worker.boot == boot, let usual = worker.milliwattsPerCore else { return }
        schedule(.readsPower(worker: worker.index, boot: boot), after: dice.span(milliseconds: 1000...8000))
        let power = min(usual * dice.within(50...150) / 100, Self.milliwatts.upperBound) * worker.threads
        // A counter that went round says what no machine draws.
        let isWrong = !isCalm && dice.chance(plan.wrongReadings)
        trace.note(now, what: 18, whom: worker.index)
        feed(worker, .powerRead(PowerReading(milliwatts: isWrong ? PowerReading.most + 1 : UInt64(power))))
    }
}
