import Foundation
import Testing
import Wire

@testable import WorkerShell

@Suite struct PowerMeterTests {
    private func reading(_ seconds: UInt64, joules: UInt64, own: UInt64, all: UInt64?) -> PowerMeter.Reading {
        PowerMeter.Reading(
            at: 7 + seconds * 1_000_000_000, microjoules: joules * 1_000_000, own: own * 1_000_000_000,
            all: all.map { $0 * 1_000_000_000 })
    }

    @Test func `a process draws its part of the packages by processor time`() {
        let before = reading(10, joules: 100, own: 4, all: 1000)
        func milliwatts(_ after: PowerMeter.Reading) -> UInt64 { PowerMeter.milliwatts(from: before, to: after) }

        // 80 W for two seconds, of which it has worked three of four core-seconds.
        #expect(milliwatts(reading(12, joules: 260, own: 7, all: 1004)) == 60_000)
        // It alone: the machine's idle power too. Coarse clocks make no more than all of it.
        #expect(milliwatts(reading(12, joules: 260, own: 8, all: 1004)) == 80_000)
        #expect(milliwatts(reading(12, joules: 260, own: 8, all: 1003)) == 80_000)
        // Idle, or before: nothing.
        #expect(milliwatts(reading(12, joules: 260, own: 4, all: 1004)) == 0)
        #expect(milliwatts(before) == 0)
        // Where others' time can't be told, all of it.
        #expect(milliwatts(reading(12, joules: 260, own: 5, all: nil)) == 80_000)
        // No reading is larger than a message may say.
        #expect(milliwatts(reading(12, joules: 1 << 43, own: 8, all: 1004)) == 100_000_000)
    }

    @Test func `the first reading that is due needs no second to pass`() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("drover-power-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        let zone = root.appendingPathComponent("intel-rapl:0")
        try FileManager.default.createDirectory(at: zone, withIntermediateDirectories: true)
        for (file, text) in [("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "1000000")] {
            try "\(text)\n".write(to: zone.appendingPathComponent(file), atomically: true, encoding: .utf8)
        }
        var meter = try #require(PowerMeter(root.path))

        #expect(meter.read(isDue: true) == PowerReading(milliwatts: 0))
    }

    @Test func `processor time is read from the first line, without idling, waiting and what was stolen`() {
        let text = "cpu  100 20 3 99999 888 40 5 777 66 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
        #expect(PowerMeter.processorTime(text, ticks: 100) == 168 * 10_000_000)
        #expect(PowerMeter.processorTime("cpu 1 2 3\n", ticks: 100) == nil)
        #expect(PowerMeter.processorTime("cpu 1 2 3 4 5 6 x 8\n", ticks: 100) == nil)
        #expect(PowerMeter.processorTime("", ticks: 100) == nil)
    }
}
