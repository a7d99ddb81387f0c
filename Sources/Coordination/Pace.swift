import Budgeting

/// What the newest steps cost, and what saving and evaluating take: the measured side of a plan.
struct Pace: Sendable, Equatable {
    /// Costs of the newest steps, oldest first.
    private var steps: [Costs] = []
    /// What had been spent in all when the newest steps counted: what lies between two of them is steps, evaluations,
    /// standstills and waiting.
    private var totals: [Costs] = []
    /// Steps noted in all.
    private(set) var count = 0
    /// Milliseconds from the order of a checkpoint to its publication; nil = not measured yet.
    var saveMilliseconds: Int64?
    /// Milliseconds for which a save holds up training.
    var stallMilliseconds: Int64?
    /// Milliseconds that an evaluation takes.
    var evaluationMilliseconds: Int64 = 0

    /// Wall-clock milliseconds of the newest steps beside which nothing was saved, oldest first.
    private var quiet: [Int64] = []
    /// By how much the newest saves made the steps beside them longer, milliseconds, oldest first.
    private var burdens: [Int64] = []
    /// The same for the save that goes on.
    private var burden: Int64?

    private static let window = 16
    private static let saves = 4
    private static let longWindow = 64
    /// Steps before a first estimate.
    static let enough = 3

    mutating func note(_ costs: Costs, total: Costs) {
        // The first step pages memory in and is no measure for those behind it.
        if count == 1 { steps = [] }
        count += 1
        if steps.count == Self.window { steps.removeFirst() }
        steps.append(costs)
        if totals.count == Self.longWindow { totals.removeFirst() }
        totals.append(total)
    }

    /// Notes how long a step took, and whether a checkpoint was on its way out meanwhile.
    mutating func noteStep(milliseconds: Int64, besideSave: Bool) {
        if besideSave {
            guard quiet.count >= Self.enough else { return }
            burden = (burden ?? 0) + milliseconds - quiet.sorted()[quiet.count / 2]
            return
        }
        if let burden {
            if burdens.count == Self.saves { burdens.removeFirst() }
            burdens.append(burden)
        }
        burden = nil
        if quiet.count == Self.window { quiet.removeFirst() }
        quiet.append(milliseconds)
    }

    /// Milliseconds of training that a save costs: for which it stands still, or by which the steps beside it are
    /// longer, whichever is more.
    var saveCost: Int64 {
        max(stallMilliseconds ?? 0, burdens.isEmpty ? 0 : burdens.reduce(0, +) / Int64(burdens.count))
    }

    /// Another generation runs: what gathering it took was no step's, and its steps take another time.
    mutating func restart() {
        totals = []
        quiet = []
        burden = nil
    }

    var isKnown: Bool { count >= Self.enough }

    /// What one step costs in a unit, the mean of the newest; nil = not measured yet.
    func mean(_ unit: BudgetUnit) -> Double? {
        steps.isEmpty ? nil : steps.reduce(0) { $0 + Double($1[unit]) } / Double(steps.count)
    }

    /// The same with its part of evaluations, saves and waiting.
    func meanWithPauses(_ unit: BudgetUnit) -> Double? {
        guard let first = totals.first, let last = totals.last, totals.count > Self.enough else { return mean(unit) }
        return max(mean(unit) ?? 0, Double(last[unit] - first[unit]) / Double(totals.count - 1))
    }

    /// The dearest of the newest steps.
    func worst(_ unit: BudgetUnit) -> Int64 { steps.map { $0[unit] }.max() ?? 0 }
}
