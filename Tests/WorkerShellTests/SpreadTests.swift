import CSystem
import Foundation
import Synchronization
import Testing

@Suite struct SpreadTests {
    /// The cores that the calling thread may use.
    private static func cores() -> Set<Int> {
        guard let text = try? String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed_list:") })
        else { return [] }
        let parts = line.dropFirst("Cpus_allowed_list:".count).split(separator: ",").map { part in
            part.split(separator: "-").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        }
        return Set(parts.flatMap { part in part.isEmpty ? [] : Array(part[0]...part[part.count - 1]) })
    }

    /// What a thread of its own may use once it is number `place` of `places`.
    private static func spread(_ place: Int, of places: Int) -> Set<Int> {
        let found = Mutex<Set<Int>>([])
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            csys_spread_thread(UInt32(place), UInt32(places))
            found.withLock { $0 = cores() }
            done.signal()
        }
        thread.start()
        done.wait()
        return found.withLock { $0 }
    }

    @Test(arguments: 1...9) func `threads that do the same work share out the cores among themselves`(places: Int) {
        let all = Self.spread(0, of: 1)
        let own = (0..<places).map { Self.spread($0, of: places) }

        #expect(!all.isEmpty && own.reduce(into: Set()) { $0.formUnion($1) } == all)
        let parts = min(places, all.count)
        #expect(own.allSatisfy { $0.count >= all.count / parts && $0.count <= (all.count + parts - 1) / parts })
        for (place, cores) in own.enumerated() where place >= parts { #expect(cores == own[place % parts]) }
    }
}
