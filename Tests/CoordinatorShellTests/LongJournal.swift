import Coordination
import Foundation
import Simulation
import StorageShell
import Testing

@testable import CoordinatorShell

/// The journal of one long run, and what can happen to it on a disk.
enum LongJournal {
    /// Writes the journal of a run of so many steps; returns the core that led to it.
    static func write(_ journal: any Journal, steps: Int) throws -> Coordinator {
        var (facts, entries, run) = (CoreJournal(journal), [Coordination.JournalEntry](), LongRun(steps: steps))
        try run.run { new, core in
            entries += new
            guard entries.count >= 64 || core.jobs.first?.state == .done else { return }
            try facts.append(entries, of: core)
            entries = []
        }
        return run.core
    }

    /// Flips a bit in one line of the ledger, the third or that of another index, as a disk would that nobody has
    /// written to.
    static func alterLedger(in folder: String, line index: Int = 2) throws {
        var lines: [[UInt8]] = []
        // Behind a line that was altered before, nothing is read: nor is it asked for.
        try? RestingJournal(folder: folder).replay { _, entry in
            if entry.kind == 12 { lines.append(entry.payload) }
        }
        try #require(index < lines.count)
        let line = Data(lines[index])
        var altered = line
        altered[altered.count / 2] ^= 1
        let file = URL(fileURLWithPath: folder + "/journal.sqlite")
        var bytes = try Data(contentsOf: file)
        try #require(bytes.range(of: line) != nil)
        // Pages of the file also hold what SQLite has moved elsewhere.
        while let place = bytes.range(of: line) { bytes.replaceSubrange(place, with: altered) }
        try bytes.write(to: file)
    }
}
