/// What a coordinator takes energy and money to be where nothing measures them: declared by whoever runs it.
package struct RateCard: Sendable, Hashable {
    /// Milliwatts that a busy core draws with its part of the machine; 0 = not declared.
    package var milliwattsPerCore: Int64
    /// Millionths of the currency for a core-hour.
    package var moneyPerCoreHour: Int64
    /// Millionths of the currency for a kilowatt-hour.
    package var moneyPerKilowattHour: Int64
    /// Three capital letters; nil = no prices are declared.
    package var currency: String?
    /// Whether workers read their machines' own energy counters, so that a budget of energy needs no declared power; nil
    /// = nobody knows yet.
    package var isEnergyMeasured: Bool?

    package init(
        milliwattsPerCore: Int64 = 0, moneyPerCoreHour: Int64 = 0, moneyPerKilowattHour: Int64 = 0,
        currency: String? = nil
    ) {
        self.milliwattsPerCore = milliwattsPerCore
        self.moneyPerCoreHour = moneyPerCoreHour
        self.moneyPerKilowattHour = moneyPerKilowattHour
        self.currency = currency
    }

    /// Millijoules that so many core-milliseconds take, rounded up.
    package func energy(coreTime: Int64) -> Int64 { Self.product(coreTime, milliwattsPerCore, per: 1_000) }

    /// Millionths of the currency that so many core-milliseconds cost with so many millijoules, each part rounded up.
    private func money(coreTime: Int64, energy: Int64) -> Int64 {
        Self.product(coreTime, moneyPerCoreHour, per: 3_600_000)
            &+ Self.product(energy, moneyPerKilowattHour, per: 3_600_000_000)
    }

    /// Measured time with what it costs; amounts that no longer fit stay at the largest.
    ///
    /// - Parameter energy: in millijoules; nil = what the card says.
    package func costs(coreTime: Int64, wallClock: Int64, energy: Int64? = nil) -> Costs {
        let energy = energy ?? self.energy(coreTime: coreTime)
        return Costs(
            coreTime: coreTime, wallClock: wallClock, energy: energy,
            money: money(coreTime: coreTime, energy: energy))
    }

    /// Why a limit of this budget can't be kept with this card; nil when all can.
    package func fault(with budget: Budget) -> String? {
        if budget[.energy] != nil, milliwattsPerCore == 0, isEnergyMeasured == false {
            return "budget.energy needs watts_per_core in the rate card"
        }
        guard budget[.money] != nil else { return nil }
        let knowsEnergy = milliwattsPerCore > 0 || isEnergyMeasured != false
        guard let currency, moneyPerCoreHour > 0 || (moneyPerKilowattHour > 0 && knowsEnergy) else {
            return "budget.money needs prices in the rate card"
        }
        guard budget.currency == nil || budget.currency == currency else {
            return "budget.money is in \(budget.currency ?? ""), the rate card in \(currency)"
        }
        return nil
    }

    /// Why a job can't go on with this card after what it has spent; nil when it can. Limited or not, amounts of two
    /// currencies have no sum.
    package func fault(after ledger: Ledger) -> String? {
        guard ledger.spent.money > 0, let known = ledger.budget.currency, let currency, currency != known else {
            return nil
        }
        return
            "the run has spent money in \(known), and the rate card's prices are in \(currency): go on with a card in "
            + known
    }

    private static func product(_ left: Int64, _ right: Int64, per divisor: Int64) -> Int64 {
        guard left > 0, right > 0 else { return 0 }
        let (high, low) = left.multipliedFullWidth(by: right)
        guard high < divisor else { return .max / 4 }
        let (quotient, remainder) = divisor.dividingFullWidth((high, low))
        return min(.max / 4, quotient + (remainder > 0 ? 1 : 0))
    }
}
