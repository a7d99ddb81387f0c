/// A bug that a simulation plants on purpose, to show that its checks would find it (`drover sim --mutant`).
///
/// Named by the invariant that it breaks. Only a simulation ever plants one; everywhere else there is none.
package enum PlantedBug: String, Sendable, CaseIterable {
    // I1: one lease a shard and step
    case leasePastItsEnd = "I1-lease-past-its-end"
    case shardToTwoMembers = "I1-shard-to-two-members"
    case generationNumberUsedAgain = "I1-generation-number-used-again"
    // I2: epochs rise; what is older changes nothing
    case epochStays = "I2-epoch-stays-at-restart"
    case staleMessagesBelieved = "I2-stale-messages-believed"
    case lateWelcomeBelieved = "I2-late-welcome-believed"
    case oldBackupServes = "I2-old-backup-serves"
    // I3: a request is carried out once
    case requestCarriedOutTwice = "I3-request-carried-out-twice"
    case answersForgotten = "I3-answers-forgotten-at-restart"
    case doubledMessageHeard = "I3-doubled-message-heard"
    // I4: durable before visible
    case sentBeforeDurable = "I4-sent-before-durable"
    case failedSyncIgnored = "I4-failed-sync-ignored"
    case recipeNotJournalled = "I4-recipe-not-journalled"
    case generationNotJournalled = "I4-generation-not-journalled"
    // I5: steps without gap, fork or repetition
    case stepCountsTwice = "I5-step-counts-twice"
    case interruptedUpdateForgotten = "I5-interrupted-update-forgotten"
    case tornHealBelieved = "I5-torn-heal-believed"
    // I6: the canonical tree over every shard once
    case firstSharesForgotten = "I6-first-shares-forgotten"
    case missingShardsForgotten = "I6-missing-shards-forgotten"
    case oldSumsAdded = "I6-sums-of-an-old-generation-added"
    case bothResultsAdded = "I6-both-results-of-a-lent-shard-added"
    case loanNotCutOut = "I6-lent-shard-added-to-its-neighbours"
    // I7: nothing late, revoked, infinite or wrong
    case nonFiniteSumSent = "I7-non-finite-sum-sent"
    case wrongStateAccepted = "I7-wrong-state-accepted"
    // I8: the table of job states
    case doneJobResumes = "I8-done-job-resumes"
    case queuedJobRuns = "I8-queued-job-runs-at-once"
    case doneBeforeCheckpoint = "I8-done-before-the-last-checkpoint"
    // I9: the journal replayed is the state
    case rewindNotJournalled = "I9-rewind-not-journalled"
    case checkpointNotJournalled = "I9-checkpoint-not-journalled"
    case evaluationNotReplayed = "I9-evaluation-not-replayed"
    case spentNotReplayed = "I9-spent-not-replayed"
    case trunkNotInSnapshot = "I9-trunk-not-in-snapshot"
    // I10: no wall clock, and no other machine's
    case coordinatorOnWallClock = "I10-coordinator-on-wall-clock"
    case workerOnWallClock = "I10-worker-on-wall-clock"
    case sendersClockBelieved = "I10-senders-clock-believed"
    // C1…C10: checkpoints
    case incompletePublished = "C1-published-before-all-is-there"
    case savedBeforeWritten = "C2-saved-before-it-is-written"
    case trunksExpire = "C3-trunks-expire"
    case savedObjectsSwept = "C4-objects-of-a-save-swept"
    case mixedCheckpoint = "C5-checkpoint-of-another-state"
    case objectsInOrderOfArrival = "C6-objects-in-order-of-arrival"
    case damageOverlooked = "C8-damaged-checkpoint-believed"
    case failedSaveNotTold = "C9-failed-checkpoint-not-told"
    case failedSyncTriedAgain = "C10-failed-sync-tried-again"
    // B3…B9: budgets
    case leasesNotClosed = "B3-leases-not-closed"
    case windowWithoutLimit = "B3-window-as-without-a-limit"
    case othersReservationsForgotten = "B3-reservations-of-others-forgotten"
    case projectNotAsked = "B3-project-not-asked"
    case pastNotInherited = "B4-past-of-a-branch-not-inherited"
    case riskNotCovered = "B5-risk-not-covered"
    case endingPaysForAll = "B6-ending-reserve-pays-for-all"
    case endingNotSetAside = "B6-nothing-set-aside-for-the-ending"
    case lastCheckpointSampled = "B6-last-checkpoint-only-sampled"
    case usedUpLimitIgnored = "B7-used-up-limit-ignored"
    case energyOfOneCore = "B7-energy-of-one-core"
    case chainNotContinued = "B8-chain-not-continued"
    case grantForgotten = "B9-grant-forgotten-when-amended"
    // L1…L7: everything goes on
    case brokenLinkIgnored = "L2-broken-link-ignored"
    case windowStays = "L1-window-stays"
    case saveNotAbandoned = "L2-save-not-abandoned"
    case silentWorkersStay = "L3-silent-workers-stay"
    case newJobOverlooked = "L4-new-job-overlooked"
    case deafWorkerWaits = "L5-deaf-worker-waits"
    case lostMessageIgnored = "L5-lost-message-ignored"
    case reportsPileUp = "L6-reports-pile-up"
    case unfitWorkersAtOnce = "L7-unfit-workers-tried-at-once"

    /// The invariant that it breaks, for instance `I4`.
    package var invariant: String { String(rawValue.prefix { $0 != "-" }) }
}
