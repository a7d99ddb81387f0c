/// What must be true after every event, by the names of the specification; a failure begins with one of them.
package enum Invariant: String, Sendable, CaseIterable {
    /// One lease a shard and step; what an older generation does has no effect.
    case i1 = "I1"
    /// Epochs rise and are durable first; a message of an older one changes nothing.
    case i2 = "I2"
    /// A request is carried out once; asked again it gets the same answer. A message that comes twice counts once.
    case i3 = "I3"
    /// Nothing is visible before it is durable.
    case i4 = "I4"
    /// Steps are applied one after another, each once.
    case i5 = "I5"
    /// The sum of a step is the canonical tree over every shard once.
    case i6 = "I6"
    /// Nothing late, revoked, infinite or wrong becomes part of a step.
    case i7 = "I7"
    /// Jobs change their state by the table, and for a cause.
    case i8 = "I8"
    /// Replaying the journal gives the state.
    case i9 = "I9"
    /// No clock but the process's own boot clock decides anything.
    case i10 = "I10"
    /// A running job applies steps.
    case l1 = "L1"
    /// A checkpoint that was begun ends.
    case l2 = "L2"
    /// A lease ends with its worker.
    case l3 = "L3"
    /// A job whose workers are there starts.
    case l4 = "L4"
    /// A worker that comes back is taken in.
    case l5 = "L5"
    /// Queues and memory are bounded.
    case l6 = "L6"
    /// What failed is not tried again before its pause is over.
    case l7 = "L7"
    /// A checkpoint that is there has all of its objects.
    case c1 = "C1"
    /// A checkpoint counts, and is healed from, only after it is in the store.
    case c2 = "C2"
    /// Before a checkpoint goes, a newer one of the same line is there; trunks and final ones stay.
    case c3 = "C3"
    /// No object goes that a checkpoint names, or one that is being made.
    case c4 = "C4"
    /// A checkpoint is the state after one step.
    case c5 = "C5"
    /// However many workers save and load, what is loaded is what was saved, in one order.
    case c6 = "C6"
    /// What is computed again after a checkpoint comes out the same.
    case c7 = "C7"
    /// A damaged checkpoint is passed over for the newest sound one.
    case c8 = "C8"
    /// A checkpoint that could not be written is told.
    case c9 = "C9"
    /// After a failed sync the whole attempt has failed.
    case c10 = "C10"
    /// Every unit of a ledger balances.
    case b1 = "B1"
    /// No exact limit is passed.
    case b2 = "B2"
    /// No more is reserved than leases may run ahead.
    case b3 = "B3"
    /// A step that counts is charged once, and covered by a checkpoint only where there is one.
    case b4 = "B4"
    /// What is at risk is what was done since the newest checkpoint.
    case b5 = "B5"
    /// When a budget has ended, the state to go on from is in the store.
    case b6 = "B6"
    /// What is spent beyond a measured limit is posted as overrun.
    case b7 = "B7"
    /// A ledger follows from its lines.
    case b8 = "B8"
    /// What was spent is never forgotten.
    case b9 = "B9"
    /// Plans leave alone what was issued.
    case b10 = "B10"
    /// The simulator itself: its model of shells and engines would be wrong.
    case model
}
