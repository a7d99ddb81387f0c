import Glibc
import ModelFiles
import Wire

/// What this process draws: of what the machine's packages use, the part that its processor time is of all processor
/// time. What an idle machine draws is divided in the same way among those who do something.
package struct PowerMeter {
    /// What is read at one instant.
    package struct Reading: Sendable {
        /// On a clock that only goes forward, nanoseconds.
        package var at: UInt64
        /// Used by all packages since the first reading.
        package var microjoules: UInt64
        /// Processor time of this process, nanoseconds.
        package var own: UInt64
        /// Processor time of everybody on this machine, nanoseconds; nil = it can't be told.
        package var all: UInt64?

        package init(at: UInt64, microjoules: UInt64, own: UInt64, all: UInt64?) {
            (self.at, self.microjoules, self.own, self.all) = (at, microjoules, own, all)
        }
    }

    private var counters: Powercap
    private var last: Reading
    /// Nothing was read since it began.
    private var isFresh = true
    /// Nanoseconds between two readings: the machine counts processor time in hundredths of a second.
    private static let interval: UInt64 = 1_000_000_000

    /// Begins to measure; nil where there are no counters that can be read below `root`.
    package init?(_ root: String) {
        guard let counters = Powercap(root) else { return nil }
        self.counters = counters
        last = Self.reading(counters)
    }

    /// The mean power since the last reading; nil when that was a moment ago.
    ///
    /// - Parameter isDue: whether a shorter time will do, a twentieth of the usual one, which does for the first
    ///   reading too. When not even that has passed, there is an answer all the same: nothing yet. The coordinator
    ///   learns that it is measured here before it charges the first step, and the next reading makes up for it.
    mutating func read(isDue: Bool = false) -> PowerReading? {
        let patience = isDue || isFresh ? Self.interval / 20 : Self.interval
        guard Self.nanoseconds(CLOCK_BOOTTIME) >= last.at + patience else {
            return isDue && isFresh ? PowerReading(milliwatts: 0) : nil
        }
        isFresh = false
        counters.read()
        let newest = Self.reading(counters)
        defer { last = newest }
        return PowerReading(milliwatts: Self.milliwatts(from: last, to: newest))
    }

    /// The mean power of this process between two readings.
    package static func milliwatts(from old: Reading, to new: Reading) -> UInt64 {
        func difference(_ part: (Reading) -> UInt64) -> Double { Double(part(new)) - Double(part(old)) }
        let (time, own) = (difference(\.at), difference(\.own))
        guard time > 0, own > 0 else { return 0 }
        var share = 1.0
        // Both clocks are coarse: nobody takes more than all.
        if let from = old.all, let to = new.all { share = min(1, own / max(1, Double(to) - Double(from))) }
        // Microjoules a nanosecond are a thousand watts.
        return UInt64(min(Double(PowerReading.most), max(0, difference(\.microjoules)) / time * 1e6 * share))
    }

    private static func reading(_ counters: Powercap) -> Reading {
        Reading(
            at: nanoseconds(CLOCK_BOOTTIME), microjoules: counters.microjoules,
            own: nanoseconds(CLOCK_PROCESS_CPUTIME_ID), all: processorTime())
    }

    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// What all processors have worked since the machine was started, nanoseconds (proc(5), /proc/stat).
    private static func processorTime() -> UInt64? {
        guard let text = Powercap.text("/proc/stat") else { return nil }
        return processorTime(text, ticks: UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
    }

    /// The same from the file's text: user, nice, system, irq and softirq of the first line; not idle, waiting, stolen.
    package static func processorTime(_ text: String, ticks: UInt64) -> UInt64? {
        let line = text.prefix { $0 != "\n" }.split(separator: " ")
        guard line.first == "cpu", line.count >= 8 else { return nil }
        let counts = line.dropFirst().map { UInt64($0) }
        var sum: UInt64 = 0
        for place in [0, 1, 2, 5, 6] {
            guard let count = counts[place], count < 1 << 48 else { return nil }
            sum += count
        }
        return sum * (1_000_000_000 / ticks)
    }
}
