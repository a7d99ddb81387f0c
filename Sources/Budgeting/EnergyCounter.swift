/// A counter of microjoules that begins again at 0 beyond its range, as the processors' own do; what was used since the
/// first reading.
///
/// More than one round between two readings can't be told from one: read it more often than it comes round.
package struct EnergyCounter: Sendable, Equatable {
    /// The largest value that the counter shows.
    package let range: UInt64
    /// Used since the first reading.
    package private(set) var microjoules: UInt64 = 0
    private var last: UInt64?

    package init(range: UInt64) { self.range = range }

    /// Takes a reading; one beyond the range is no reading.
    package mutating func note(_ reading: UInt64) {
        guard reading <= range else { return }
        if let last {
            let used = reading >= last ? reading - last : range - last + reading + 1
            microjoules = microjoules.addingReportingOverflow(used).overflow ? .max : microjoules + used
        }
        last = reading
    }
}
