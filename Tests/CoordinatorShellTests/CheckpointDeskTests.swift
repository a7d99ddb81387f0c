import Checkpoints
import Coordination
import Foundation
import Hashing
import StorageShell
import Synchronization
import Terms
import Testing
import Wire

@testable import CoordinatorShell

/// What a job's checkpoints say, and what is made of them by hand.
@Suite struct CheckpointDeskTests {
    /// A coordinator with a job over four parameters, which keeps its ten newest checkpoints.
    private func office(isExact: Bool = true) throws -> (office: Office, desk: JobDesk) {
        let office = try Office()
        var description = try office.description(data: office.folder.appendingPathComponent("data.cache").path)
        description.tensors = [TrainedTensor(name: "w", shape: [4])]
        (description.isExact, description.saveTotalLimit) = (isExact, 10)
        try office.service.submit(description)
        return (office, try #require(office.service.desk(JobID(1))))
    }

    /// Brings the state of a step and waits for its checkpoint.
    @discardableResult
    private func save(
        _ desk: CheckpointDesk, _ step: Step, kind: SaveReason = .periodic, profile: UInt64? = nil, epoch: UInt64 = 1,
        budget: [(key: String, value: JSONValue)] = []
    ) throws -> Manifest {
        desk.collect(
            step, attempt: UInt32(step), kind: kind, isReadBack: true,
            progress: .init(
                epoch: epoch, generation: Generation(1), tokens: 12 * step, samples: 4 * step, profile: profile,
                digest: 77,
                plan: [], budget: .object(JSONObject(budget))))
        for role in UInt8(0)..<3 {
            var header = DataHeader(
                kind: .checkpoint, job: JobID(1), generation: Generation(1), step: UInt64(step), offset: 0, count: 4,
                sender: NodeID(high: 1, low: 1))
            (header.role, header.attempt) = (role, UInt32(step))
            desk.receive(header, [UInt8](repeating: UInt8(3 * step) + role, count: 16))
        }
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            let newest = try desk.store.scan(CheckpointDesk.run).records.first?.manifest
            if let newest, newest.step == step { return newest }
            usleep(1000)
        }
        throw CocoaError(.fileNoSuchFile)
    }

    @Test func `a checkpoint says what its job promises, and the numerics profile where all share one`() throws {
        let (exact, loose) = (try office(), try office(isExact: false))
        defer { withExtendedLifetime((exact, loose)) {} }

        let first = try save(exact.desk.checkpoints, 1, profile: 0xAB)
        #expect(first.exactness == .exact && first.numerics["profile"]?.string == "ab")
        let second = try save(loose.desk.checkpoints, 1)
        #expect(second.exactness == .equivalent && second.numerics["profile"]?.isNull == true)
    }

    @Test func `a checkpoint that counts more of the account than the journal has is refused, a planted one is not`()
        throws
    {
        let (life, branch) = (try office(), try office())
        defer { withExtendedLifetime((life, branch)) {} }

        try save(life.desk.checkpoints, 1, budget: [("postings", .int(7))])
        try save(branch.desk.checkpoints, 1, epoch: 0, budget: [("postings", .int(99))])

        let error = #expect(throws: DeskError.self) { try life.desk.checkpoints.refuseLater(than: 9, postings: 6) }
        #expect(error?.description.contains("of step 1 that the journal knows nothing of") == true)
        try life.desk.checkpoints.refuseLater(than: 9, postings: 7)
        try branch.desk.checkpoints.refuseLater(than: 9, postings: 0)
    }

    @Test func `fsck tells of checkpoints that are younger than the journal, or rest on lines that it has not`() throws
    {
        let (office, desk) = try office()
        defer { withExtendedLifetime(office) {} }
        let folder = office.folder.appendingPathComponent("older").path
        do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: 20) }
        let audit = try JournalAudit(folder)
        let head = JSONValue.string(Digest.sha256(of: "of another ledger").hex)

        try save(desk.checkpoints, 21, budget: [("postings", .int(1 << 40)), ("ledger_head", head)])
        try save(desk.checkpoints, 22, budget: [("postings", .int(1)), ("ledger_head", head)])
        try save(desk.checkpoints, 23, budget: [("postings", .int(1))])

        let records = try desk.checkpoints.store.scan(CheckpointDesk.run).records
        func faults(_ steps: Step...) -> [String] {
            audit.faults { _ in (records.filter { steps.contains($0.manifest.step) }, [20]) }
        }
        #expect(faults(23) == [])
        #expect(faults(22, 23).count == 1 && faults(22).first?.contains("rests on one that is not there") == true)
        #expect(faults(21).first?.contains("the journal has lost what came after step 20") == true)
        #expect(faults(21, 22, 23).count == 1, "the newest says it for all")
    }

    /// What a desk said.
    private final class Words: Sendable { let list = Mutex<[String]>([]) }

    @Test func `a job that can't prune says so, and once`() throws {
        let office = try Office()
        defer { withExtendedLifetime(office) {} }
        var description = try office.description(data: office.folder.appendingPathComponent("data.cache").path)
        description.tensors = [TrainedTensor(name: "w", shape: [4])]
        let words = Words()
        let desk = try CheckpointDesk(
            folder: office.folder.appendingPathComponent("store").path, job: JobID(1), description: description,
            wake: {}, tell: { text in words.list.withLock { $0.append(text) } }, report: { _ in })

        try save(desk, 1)
        try Data("nonsense".utf8).write(
            to: URL(fileURLWithPath: desk.store.root + "/" + RepositoryLayout.pins(CheckpointDesk.run)))
        for step in 2...4 { try save(desk, step) }
        // Comes after everything that the desk has to do.
        desk.goBack(to: 4)

        let said = words.list.withLock { $0 }
        #expect(said.count == 1 && said.first?.contains("PINS") == true, "\(said)")
    }

    @Test func `a held-out loss is of its own step alone, and goes with steps that are made anew`() throws {
        let (office, desk) = try office()
        defer { withExtendedLifetime(office) {} }

        desk.note(loss: 0.5, of: 250, tokens: 9)
        #expect(desk.evaluationLoss(of: 250) == 0.5 && desk.evaluationLoss(of: 300) == nil)
        try desk.rewind(to: 250, at: CoordinatorService.now())
        #expect(desk.evaluationLoss(of: 250) == 0.5)
        try desk.rewind(to: 200, at: CoordinatorService.now())
        #expect(desk.evaluationLoss(of: 250) == nil)
        desk.note(loss: 0, of: 300, tokens: 0)
        #expect(desk.evaluationLoss(of: 300) == nil, "over no tokens nothing was measured")
    }

    @Test func `what is pruned by hand is free at once, as the dry run said`() throws {
        let (office, desk) = try office()
        defer { withExtendedLifetime(office) {} }
        for step in 1...4 { try save(desk.checkpoints, step) }
        let store = desk.checkpoints.store
        func prune(isDryRun: Bool) throws -> JSONValue {
            try CheckpointInquiry(folder: store.root, store: isDryRun ? nil : store, policy: RetentionPolicy(last: 10))
                .answer(.members(["do": .string("prune"), "keep": .int(2), "dry_run": .bool(isDryRun)]))
        }

        let said = try prune(isDryRun: true)
        #expect(try CheckpointStore.verify(store.root).objects == 12)
        let done = try prune(isDryRun: false)

        #expect(done["objects"]?.int == 6 && done["bytes"]?.int == 96)
        for key in ["objects", "bytes", "deleted", "kept"] { #expect(said[key] == done[key], "\(key)") }
        let left = try CheckpointStore.verify(store.root)
        #expect(left.isSound && left.objects == 6 && left.manifests == 2)
    }

    @Test func `a checkpoint that somebody asked for goes once it is given back, a trunk one never`() throws {
        let (office, desk) = try office()
        defer { withExtendedLifetime(office) {} }
        for step in 1...6 {
            try save(desk.checkpoints, step, kind: step == 1 ? .user : step == 2 ? .trunk : .periodic)
        }
        let store = desk.checkpoints.store
        let inquiry = CheckpointInquiry(folder: store.root, store: store, policy: RetentionPolicy(last: 2))
        func ask(_ operation: String, _ step: Step = 0) throws -> JSONValue {
            try inquiry.answer(.members(["do": .string(operation), "step": .int(step)]))
        }
        func pinned() throws -> [Step: Bool] {
            let list = try ask("ls")["checkpoints"]?.array ?? []
            return Dictionary(
                uniqueKeysWithValues: list.map { ($0["step"]?.int ?? 0, $0["pinned"]?.bool ?? false) })
        }

        _ = try ask("prune")
        #expect(try pinned() == [1: true, 2: true, 5: false, 6: false])
        #expect(try ask("unpin", 1)["pinned"]?.bool == false)
        #expect(throws: CheckpointInquiry.Fault.self) { try ask("unpin", 2) }
        #expect(try pinned() == [1: false, 2: true, 5: false, 6: false])
        _ = try ask("prune")
        #expect(try pinned() == [2: true, 5: false, 6: false])

        // Of what is gone nothing is remembered.
        #expect(try store.pinList(CheckpointDesk.run).released.map(\.step) == [1])
        _ = try ask("pin", 5)
        let list = try store.pinList(CheckpointDesk.run)
        #expect(list.names.map(\.step) == [5] && list.released.isEmpty)
        #expect(try CheckpointStore.verify(store.root).isSound)
    }
}
