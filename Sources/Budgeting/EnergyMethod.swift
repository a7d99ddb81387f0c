/// How a job's energy was found.
package enum EnergyMethod: UInt8, CaseIterable, Sendable {
    /// Core time times the power that a rate card declares.
    case modelled = 0
    /// The processors' own counters.
    case measured = 1

    /// Methods in words, for reports: never one for both.
    package static func text(_ methods: [EnergyMethod]) -> String {
        switch (methods.contains(.measured), methods.contains(.modelled)) {
        case (true, true): "measured and modelled"
        case (true, false): "measured"
        case (false, _): "modelled"
        }
    }
}
