import Terms

/// How much goes wrong in a simulated cluster.
package enum FaultLevel: String, Sendable, CaseIterable {
    /// Nothing but differences of speed.
    case none
    /// A few kinds of fault, seldom.
    case some
    /// Most kinds, often.
    case all
}

/// A kind of fault that strikes at random instants.
enum Fault: UInt8, CaseIterable {
    /// A control connection breaks; one end, both or neither is told.
    case connectionBreaks
    /// A worker's control messages are held up for a while, then all arrive.
    case controlHeldUp
    /// A worker's messages are lost in one direction only, and neither end is told.
    case oneWayPartition
    /// Several workers are held up one after another, with all their connections, and freed in another order.
    case swizzleClog
    /// A data connection between two workers breaks, with what was on it.
    case dataLinkBreaks
    /// A worker's data connection to the coordinator breaks.
    case storeLinkBreaks
    case workerCrashes
    /// A worker's process does nothing for a while (SIGSTOP, a sleeping laptop).
    case workerStalls
    /// A worker leaves on purpose.
    case workerLeaves
    case workerJoins
    case coordinatorCrashes
    case coordinatorStalls
    /// The coordinator's disk is full for a while.
    case diskFull
    /// The coordinator is started for a while on an old copy of its disk.
    case oldBackup
    /// Somebody sets the wall clocks.
    case wallClockSet
    /// A worker says something again that it said long ago.
    case workerRepeats
    /// Everything loses power at once.
    case powerFails
    case operatorPauses
    case operatorResumes
    case operatorCancels
    case operatorSaves
    case operatorSubmits
    /// More budget, and the order to go on.
    case operatorGrants
    case operatorResizes
    /// Other run keys, and the order to go on.
    case operatorAmends
    case operatorDrains
    /// A worker's engine says that something local failed.
    case localTrouble
}

/// The faults of one run, drawn before it starts: which kinds can happen at all, and how often ("swarm" testing).
struct FaultPlan {
    /// Kinds that can strike, with their mean interval.
    var intervals: [(fault: Fault, mean: Span)] = []
    /// No fault after this instant.
    var until = Instant(nanoseconds: 0)
    // MARK: Chances in a thousand
    /// The coordinator dies between two effects of one output.
    var crashInEffects = 0
    /// A message of a broken connection arrives all the same, late.
    var lateMessages = 0
    /// A message of a broken connection is sent again at the head of the next one.
    var repeatedMessages = 0
    /// A message takes a hundred times as long.
    var slowMessages = 0
    /// A message is lost, comes twice, or comes after later ones.
    var lostMessages = 0
    var doubledMessages = 0
    var reorderedMessages = 0
    /// A client sends its request twice.
    var doubledRequests = 0
    /// The journal's disk reports that a write did not get there; the coordinator dies in the middle of a write.
    var failingSyncs = 0
    var tornWrites = 0
    /// At a restart the newest checkpoint turns out to be damaged.
    var rottenCheckpoints = 0
    /// A worker's state is not what it takes it for.
    var wrongStates = 0
    var publishFails = 0
    var loadFails = 0
    var healFails = 0
    var nonFinite = 0
    /// A worker is ten times as slow as the others.
    var slowWorkers = 0
    /// A fault brings another one within a fraction of a second.
    var bursts = 0
    /// A fault strikes just where something delicate goes on: a heal, an update, a standstill, a copy.
    var weakSpots = 0
    /// A data connection breaks with a chunk on it when the cluster is calm already: nothing that strikes later mends
    /// it.
    var lastBreaks = 0
    /// After a crash the coordinator is told to go back to its newest checkpoint.
    var rewindsAtStart = 0
    /// The coordinator is started with another rate card.
    var otherRates = 0
    /// A meter says what no machine draws.
    var wrongReadings = 0

    /// Nothing goes wrong.
    init() {}

    init(level: FaultLevel, dice: inout Dice) {
        guard level != .none else { return }
        let share = level == .some ? 200 : 600
        func rate(_ most: Int) -> Int { dice.chance(share) ? dice.within(1...most) : 0 }
        until = Instant(nanoseconds: 0) + .seconds(Int64(level == .some ? dice.within(5...40) : dice.within(10...90)))
        for fault in Fault.allCases where dice.chance(share) {
            let mean = level == .some ? dice.within(8...40) : dice.within(1...25)
            intervals.append((fault, .seconds(Int64(fault.isDrastic ? 3 * mean : mean))))
        }
        crashInEffects = rate(8)
        lateMessages = rate(900)
        repeatedMessages = rate(500)
        slowMessages = rate(30)
        lostMessages = rate(8)
        doubledMessages = rate(100)
        reorderedMessages = rate(8)
        doubledRequests = rate(500)
        failingSyncs = rate(6)
        tornWrites = rate(6)
        rottenCheckpoints = rate(300)
        wrongStates = rate(100)
        publishFails = rate(400)
        loadFails = rate(150)
        healFails = rate(150)
        nonFinite = rate(10)
        slowWorkers = rate(300)
        rewindsAtStart = rate(1000)
        otherRates = rate(500)
        wrongReadings = rate(100)
        bursts = rate(800)
        lastBreaks = rate(1000)
        weakSpots = rate(level == .some ? 150 : 400)
    }

    /// Whether any enabled fault can give a job the state `FAILED`.
    var canFailJobs: Bool {
        loadFails > 0 || healFails > 0 || wrongStates > 0 || intervals.contains { $0.fault == .localTrouble }
    }
    var canPauseJobs: Bool {
        publishFails > 0 || intervals.contains { $0.fault == .diskFull }
            || intervals.contains { $0.fault == .operatorPauses }
    }
}

extension Fault {
    /// Costs the cluster much more than others.
    var isDrastic: Bool {
        switch self {
        case .powerFails, .oldBackup, .operatorCancels, .coordinatorCrashes, .operatorSubmits: true
        default: false
        }
    }
}
