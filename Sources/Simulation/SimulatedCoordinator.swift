import Budgeting
import Coordination
import Terms

/// The coordinator's process: the real core, and a modelled shell, journal and store around it.
struct SimulatedCoordinator {
    /// nil while the process is down.
    var core: Coordinator?
    /// +1 at every start.
    var life = 0
    var epoch: UInt64 = 0
    var nextSession: UInt64 = 1
    /// By session − 1, of this life: its connection.
    var connectionOfSession: [Int] = []
    /// By session − 1: when the core last heard it, in virtual time.
    var heardAt: [Instant] = []
    var wakesAt: Instant?
    var deadline: Instant?
    var stalledUntil = Instant(nanoseconds: 0)
    var parked: [Happening] = []

    var isUp: Bool { core != nil }

    // MARK: On disk
    var journal: [JournalEntry] = []
    var diskIsFullUntil = Instant(nanoseconds: 0)
    /// The disk is an old copy, put there by mistake; the right one waits.
    var isOldBackup = false
    /// The journal, replayed as it grows: what a restart would know.
    var mirror = Coordinator(epoch: 0, dataEndpoint: "")
    /// Per job: what the store holds and what the journal says.
    var records: [JobRecord] = []
    // MARK: In memory
    var collections: [Collection] = []
    var storeIsFreeAt = Instant(nanoseconds: 0)

    /// The disk's side of one job.
    struct JobRecord {
        var id: JobID
        /// Place of its undisturbed run.
        var reference: Int
        /// Checkpoints, oldest first.
        var checkpoints: [SimulatedCheckpoint] = []
        /// Steps whose checkpoints were found damaged when others behind them counted already.
        var passed: Set<Step> = []
        /// Names of the objects in its store.
        var objects: [Digest] = []
        /// The run keys in force.
        var keys: JobDescription
        /// Journalled recipes: step s at place s − 1.
        var recipes: [[UInt8]] = []
        var generation = Generation(0)
        var committed: Step = 0
        /// The furthest step of its line that ever counted.
        var furthest: Step = 0
        var state = JobState.queued
        var cancelled = false
        /// How often the operator granted more.
        var grants = 0
        /// What was spent.
        var spent = Costs.zero
        /// The accounts that its ledger's postings add up to.
        var accounts = PostedAccounts()
        /// What was spent beyond a limit when that was lowered.
        var excess = Costs.zero
        /// Virtual instants: when it was submitted, and when it last came a step or a state further.
        var submittedAt: Instant
        var movedAt: Instant

    }

    /// What a copy of the disk holds.
    struct Image {
        var epoch: UInt64
        var journal: [JournalEntry]
        var mirror: Coordinator
        var records: [JobRecord]
    }

    /// The disk as it is now.
    var image: Image { Image(epoch: epoch, journal: journal, mirror: mirror, records: records) }

    mutating func restore(_ image: Image) {
        epoch = image.epoch
        journal = image.journal
        mirror = image.mirror
        records = image.records
    }

    /// What the live core and the replayed journal do not agree on; nil = nothing, or the process is down.
    ///
    func difference(inDetail: Bool) -> (invariant: Invariant, text: String)? {
        guard isUp else { return nil }
        if !core!.hasSameAnswers(as: mirror) { return (.i9, "the journal gives other answers than the core has") }
        guard core!.jobs.count == mirror.jobs.count else { return (.i9, "the journal knows other jobs than the core") }
        if let (job, position, committed) = core!.misplacedLedger {
            return (.b4, "job \(job): its ledger stands at step \(position), the job at \(committed)")
        }
        return core!.durableDifference(from: mirror, inDetail: inDetail).map { job, what in
            (.i9, "job \(job): the journal gives another \(what) than the core has")
        }
    }

    /// Copies of the disk at the newest starts, oldest first; and the right one, while an old one is in its place.
    var backups: [Image] = []
    var rightDisk: Image?
    var oldDisk: Image?

    /// A checkpoint on its way in.
    struct Collection {
        var job: JobID
        var step: Step
        var attempt: UInt32
        var digest: UInt64
        var kind: SaveReason
        /// Every object is read back.
        var isReadBack: Bool
        /// Names of the state's objects, by place.
        var names: [Digest]
        /// Elements that have come, as they came, and the objects that were put of them.
        var arrived: [Range<UInt64>] = []
        var objects: [Digest] = []
        /// The disk said once that something of it did not get there.
        var hasFailedSync = false
        var isWriting = false
        var begunAt: Instant
    }
}

extension JobState {
    /// Nothing is to be done for the job, unless an operator says so.
    var needsNobody: Bool { self == .done || self == .cancelled || self == .budgetExhausted }
}
