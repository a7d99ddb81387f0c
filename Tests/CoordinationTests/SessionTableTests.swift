import Terms
import Testing
import Wire

@testable import Coordination

@Suite struct SessionTableTests {
    private static func record(_ number: UInt64, _ role: Hello.Role) -> SessionRecord {
        SessionRecord(
            id: SessionID(number), node: NodeID(high: number, low: 0), boot: 1, name: "w\(number)", role: role,
            threads: 1, memory: 0, profile: 1, dataEndpoint: "", lastHeard: Instant(nanoseconds: 0))
    }

    /// Changes something about a session, or has one come or go.
    private static func change(_ table: inout SessionTable, _ roll: (UInt64) -> UInt64) {
        let id = SessionID(roll(12) + 1)
        guard let place = table.place(of: id) else {
            return table.insert(record(id.number, roll(4) == 0 ? .client : .worker))
        }
        switch roll(6) {
        case 0: _ = table.remove(at: place)
        case 1: table[place].isDraining.toggle()
        case 2: table[place].isWithdrawn.toggle()
        case 3: table[place].job = roll(3) == 0 ? nil : JobID(UInt32(roll(5) + 1))
        case 4: table[place].lastHeard = Instant(nanoseconds: Int64(roll(9)))
        default:
            let unfit = SessionRecord.Unfitness(job: JobID(1), problem: "", until: Instant(nanoseconds: 9))
            table[place].unfit = roll(2) == 0 ? [] : [unfit]
        }
    }

    @Test func `whoever comes, goes or changes, the counts and lists are as a walk through all would say`() {
        var table = SessionTable()
        var dice: UInt64 = 88_172_645_463_325_252
        func roll(_ sides: UInt64) -> UInt64 {
            dice ^= dice << 13
            dice ^= dice >> 7
            dice ^= dice << 17
            return dice % sides
        }
        for _ in 0..<5000 {
            Self.change(&table, roll)
            let all = Array(table)
            #expect(all.map(\.id) == all.map(\.id).sorted())
            #expect(table.freePlaces == all.indices.filter { all[$0].isFree })
            #expect(table.staying == all.count { $0.role == .worker && !$0.isDraining })
            #expect(table.withdrawn == all.count(where: \.isWithdrawn))
            #expect(
                table.returning == all.count { $0.isWithdrawn && $0.role == .worker && !$0.isDraining })
            #expect(table.unfit == all.count { !$0.unfit.isEmpty })
            for job in (UInt32(1)...6).map(JobID.init) {
                #expect(table.places(of: job) == all.indices.filter { all[$0].job == job })
                #expect(table.crew(of: job).map(\.id) == all.filter { $0.job == job }.map(\.id))
            }
        }
    }
}
