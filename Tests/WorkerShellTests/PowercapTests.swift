import Foundation
import Testing

@testable import WorkerShell

/// A tree of files in place of the machine's counters.
@Suite struct PowercapTests {
    private func tree() throws -> URL {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("drover-powercap-\(UUID().uuidString)")
        for (zone, name) in [
            ("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:0:0", "dram"),
            ("intel-rapl:2", "psys"),
        ] {
            let folder = root.appendingPathComponent(zone)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try write("\(name)\n", root, zone, "name")
            try write("262143328850\n", root, zone, "max_energy_range_uj")
            try write("1000000\n", root, zone, "energy_uj")
        }
        return root
    }

    private func write(_ text: String, _ root: URL, _ zone: String, _ file: String) throws {
        try text.write(
            to: root.appendingPathComponent(zone).appendingPathComponent(file), atomically: true, encoding: .utf8)
    }

    @Test func `packages are added up, and nothing that they contain or that contains them`() throws {
        let root = try tree()
        defer { try? FileManager.default.removeItem(at: root) }
        var counters = try #require(Powercap(root.path))
        for zone in ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl:2"] {
            try write("3601000000", root, zone, "energy_uj")
        }
        counters.read()

        #expect(counters.microjoules == 7_200_000_000)
    }

    @Test func `a counter that came round is no negative energy`() throws {
        let root = try tree()
        defer { try? FileManager.default.removeItem(at: root) }
        try write("262143328850", root, "intel-rapl:0", "energy_uj")
        var counters = try #require(Powercap(root.path))
        try write("3599999999", root, "intel-rapl:0", "energy_uj")
        counters.read()

        #expect(counters.microjoules == 3_600_000_000)
    }

    @Test func `where nothing can be read there are no counters`() throws {
        #expect(Powercap("/nowhere") == nil)
        let root = try tree()
        defer { try? FileManager.default.removeItem(at: root) }
        for zone in ["intel-rapl:0", "intel-rapl:1"] { try write("?", root, zone, "energy_uj") }
        #expect(Powercap(root.path) == nil)
    }
}
