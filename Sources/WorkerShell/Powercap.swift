import Budgeting
import Foundation
import ModelFiles

/// The processors' own energy counters (RAPL), as Linux shows them below `/sys/class/powercap`; most systems let only
/// root read them. They count whole packages, with whatever else runs there, without disks, fans and power supply.
package struct Powercap {
    package static let standardPath = "/sys/class/powercap"
    private var zones: [(path: String, counter: EnergyCounter)] = []

    /// The counters of all packages below `root`; nil when there is none that can be read.
    package init?(_ root: String = standardPath) {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).sorted()
        for name in names where name.hasPrefix("intel-rapl:") && name.split(separator: ":").count == 2 {
            let path = joinPath(root, name)
            // `psys` holds the packages once more.
            guard Self.text(joinPath(path, "name"))?.hasPrefix("package") == true,
                let range = Self.text(joinPath(path, "max_energy_range_uj")).flatMap({ UInt64($0) }),
                Self.text(joinPath(path, "energy_uj")).flatMap({ UInt64($0) }) != nil
            else { continue }
            zones.append((path, EnergyCounter(range: range)))
        }
        guard !zones.isEmpty else { return nil }
        read()
    }

    /// Reads every counter once more.
    package mutating func read() {
        for index in zones.indices {
            guard let reading = Self.text(joinPath(zones[index].path, "energy_uj")).flatMap({ UInt64($0) }) else {
                continue
            }
            zones[index].counter.note(reading)
        }
    }

    /// Used between the first reading and the newest.
    package var microjoules: UInt64 { zones.reduce(0) { $0 &+ $1.counter.microjoules } }

    static func text(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
