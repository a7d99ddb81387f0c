import StorageShell
import Terms
import Testing

/// Stops, fails and fills the disk under SQLite at every single call of what a journal does, opens what is left, and
/// looks whether it is the acknowledged past, whole, and goes on.
@Suite struct JournalCrashTests {
    private typealias Disk = FaultyFileSystem
    private static let folder = "/state"
    private static let story = LedgerStory(20)
    /// One that fills SQLite's log sooner.
    private static let fatStory = LedgerStory(80, filler: 60_000, in: 50)

    /// A journal that is open, with what it stands on; closed with the object, the journal first.
    private final class Desk {
        let journal: SQLiteJournal
        private let names: FaultyDatabaseDisk

        init(_ disk: Disk) throws {
            names = FaultyDatabaseDisk(disk)
            journal = try SQLiteJournal(folder: JournalCrashTests.folder, fileSystem: disk, databaseDisk: names.name)
        }

        func told() throws -> Int { Int(try journal.value("told") ?? "0") ?? -1 }
    }

    /// What an act has got as an answer before the fault came.
    private struct Acknowledged {
        let story: LedgerStory
        /// Transactions whose append returned, and the one that was under way.
        var told: Int
        var begun: Int
        /// The highest epoch that was handed out.
        var epoch = 0

        mutating func tell(_ index: Int, _ desk: Desk?) throws {
            guard let desk else { return }
            begun = index + 1
            try story.tell(index, desk.journal)
            told = index + 1
        }
    }

    // MARK: The acts

    /// A disk on which the first `count` transactions were told; closed, or left as a killed process leaves it.
    private static func disk(_ count: Int, closed: Bool) throws -> Disk {
        let disk = Disk()
        let desk = try Desk(disk)
        for index in 0..<count { try story.tell(index, desk.journal) }
        guard !closed else { return disk }
        let left = disk.copy()
        withExtendedLifetime(desk) {}
        return left
    }

    /// Runs `act` on copies of `base` with each fault at call 1, 2, 3 … after it says `armed`, until that is too late;
    /// then closes what it opened. Checks what each leaves, before the closing and after it, when the process alone was
    /// killed and after power cuts.
    ///
    /// - Returns: how many calls the act and the closing make, and how many cases were checked.
    private func atEveryCall(
        of base: Disk, _ story: LedgerStory = JournalCrashTests.story, told: Int,
        _ failures: [Disk.Fault] = CrashPointTests.failures,
        _ act: (Disk, _ arm: () -> Void, inout Desk?, inout Acknowledged) throws -> Void
    ) throws -> (calls: Int, cases: Int) {
        var cases = 0
        let isLarge = failures.count == 1
        for call in 1... {
            var late = 0
            for fault in CrashPointTests.stops + failures {
                let disk = base.copy()
                var desk: Desk?
                var acknowledged = Acknowledged(story: story, told: told, begun: told)
                try? act(disk, { disk.plan(fault, at: call) }, &desk, &acknowledged)
                let (open, isInAct) = (disk.copy(), !disk.isFaultPending)
                desk = nil
                if disk.isFaultPending { late += 1 }
                let mixed = UInt64(call)
                var lefts: [(disk: Disk, cuts: [Disk.PowerCut?])]
                if case .stop = fault {
                    let cuts: [Disk.PowerCut?] = [nil, .lost, .mixed(mixed)]
                    lefts = [(disk, isLarge ? cuts : cuts + [.torn, .mixed(mixed + 1000)])]
                } else {
                    lefts = [(disk, [.lost])]
                    if isInAct { lefts.append((open, [nil, .lost, .mixed(mixed)])) }
                }
                for (left, cuts) in lefts {
                    for cut in cuts {
                        let left = left.copy()
                        if let cut { left.cutPower(cut) }
                        // After a power cut all that is there is durable.
                        check(
                            left, acknowledged, goesOn: cut == nil,
                            "call \(call), \(fault), \(cut.map { "\($0)" } ?? "killed")")
                        cases += 1
                    }
                }
            }
            if late == 2 + failures.count { return (call - 1, cases) }
        }
        return (0, cases)
    }

    /// Opens what is left, holds it against what was acknowledged; goes on, and holds that against a power cut.
    private func check(_ left: Disk, _ acknowledged: Acknowledged, goesOn: Bool, _ place: String) {
        do {
            let next: Int
            do {
                let desk = try Desk(left)
                let told = try desk.told()
                #expect(told == acknowledged.told || told == acknowledged.begun, "\(place)")
                #expect(desk.journal.epoch > acknowledged.epoch, "\(place)")
                try expect(desk, acknowledged.story, told: told, place)
                next = told
                guard goesOn else { return }
                try acknowledged.story.tell(next, desk.journal)
                left.cutPower(.lost)
            }
            let desk = try Desk(left)
            try expect(desk, acknowledged.story, told: next + 1, "\(place), gone on")
        } catch {
            Issue.record("\(place): \(error)")
        }
    }

    private func expect(_ desk: Desk, _ story: LedgerStory, told: Int, _ place: String) throws {
        var stored: [JournalEntry] = []
        try desk.journal.replay { stored.append($1) }
        #expect(try desk.told() == told, "\(place)")
        #expect(stored == story.entries(told), "\(place)")
        #expect(try desk.journal.snapshot()?.bytes == story.snapshot(told), "\(place)")
    }

    /// Shows how many cases there were.
    private func expect(_ found: (calls: Int, cases: Int), atLeast calls: Int, _ act: String) {
        print("journal crash cases: \(found.cases), at \(found.calls) calls of \(act)")
        #expect(found.calls >= calls, "\(act)")
    }

    @Test func `what is told is a sound ledger after each transaction`() {
        for story in [Self.story, Self.fatStory] {
            for told in 0...story.transactions.count {
                #expect(story.fault(story.entries(told), told: told) == nil, "\(told) transactions")
            }
        }
    }

    @Test func `a fault at any call of the first opening leaves a folder that opens`() throws {
        let found = try atEveryCall(of: Disk(), told: 0) { disk, arm, desk, acknowledged in
            arm()
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
        }
        expect(found, atLeast: 20, "a first opening")
    }

    @Test(arguments: [(5, "a step and its lines of the ledger"), (4, "a raised limit")])
    func `a fault at any call of a transaction and of the closing leaves all of it or nothing`(
        _ number: Int, _ act: String
    ) throws {
        let base = try Self.disk(number, closed: true)
        let found = try atEveryCall(of: base, told: number) { disk, arm, desk, acknowledged in
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
            arm()
            try acknowledged.tell(number, desk)
        }
        expect(found, atLeast: 8, "\(act), and of closing")
    }

    @Test func `a fault at any call of opening what a killed process left loses nothing`() throws {
        let base = try Self.disk(12, closed: false)
        let found = try atEveryCall(of: base, told: 12) { disk, arm, desk, acknowledged in
            acknowledged.epoch = 1
            arm()
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
        }
        expect(found, atLeast: 5, "an opening after a kill")
    }

    @Test func `a fault at any call of an opening, a step and a closing loses nothing`() throws {
        let base = try Self.disk(5, closed: true)
        let found = try atEveryCall(of: base, told: 5) { disk, arm, desk, acknowledged in
            arm()
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
            for index in 5..<6 { try acknowledged.tell(index, desk) }
        }
        expect(found, atLeast: 20, "an opening, a transaction and a closing")
    }

    @Test func `a fault at any call of taking the log over into the file loses nothing`() throws {
        let full = try Self.fullLog()
        let found = try atEveryCall(of: full.disk, Self.fatStory, told: full.told, [.fail(.inputOutput)]) {
            disk, arm, desk, acknowledged in
            arm()
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
            // The log is taken over, begun anew, and written on.
            for index in full.told..<(full.told + 2) { try acknowledged.tell(index, desk) }
        }
        expect(found, atLeast: 60, "an opening, taking over the log, two transactions and a closing")
    }

    @Test func `a raised epoch is there after a fault at any later call, or was refused`() throws {
        let base = try Self.disk(2, closed: true)
        let found = try atEveryCall(of: base, told: 2) { disk, arm, desk, acknowledged in
            desk = try Desk(disk)
            acknowledged.epoch = desk?.journal.epoch ?? 0
            arm()
            try desk?.journal.raiseEpoch(above: 40)
            acknowledged.epoch = desk?.journal.epoch ?? 0
        }
        expect(found, atLeast: 5, "raising the epoch")
    }

    /// A disk as a killed process leaves it just before its log has the thousand pages at which SQLite takes it over.
    private static func fullLog() throws -> (disk: Disk, told: Int) {
        let disk = Disk()
        let desk = try Desk(disk)
        var told = 0
        var before = disk.copy()
        while told < fatStory.transactions.count - 4 {
            before = disk.copy()
            let file = disk.bytes("\(folder)/journal.sqlite").count
            try fatStory.tell(told, desk.journal)
            if disk.bytes("\(folder)/journal.sqlite").count > max(file, 4096) { break }
            told += 1
        }
        try #require(disk.bytes("\(folder)/journal.sqlite").count > 4096, "the story fills the log")
        return (before, told)
    }
}
