import CKernels
import Kernels
import Synchronization
import Testing

@Suite struct TeamTests {
    @Test(arguments: 1...4) func `each index runs once, run after run`(threads: Int) {
        let team = Team(threads: threads)
        for count in [0, 1, 2, 3, 17, 1000] {
            for _ in 0..<20 {
                let sum = Atomic(0)
                let calls = Atomic(0)
                team.run(count) { index in
                    sum.add(index + 1, ordering: .relaxed)
                    calls.add(1, ordering: .relaxed)
                }
                #expect(calls.load(ordering: .relaxed) == count)
                #expect(sum.load(ordering: .relaxed) == count * (count + 1) / 2)
            }
        }
    }

    @Test func `subnormals are zero on every thread during a run, and the caller's mode comes back`() {
        let tiny = Float.leastNonzeroMagnitude
        let before = dk_floats_enter()
        dk_floats_leave(before)
        let kept = Atomic(0)
        Team(threads: 3).run(300) { _ in
            let found = dk_floats_enter()
            if found == before { kept.add(1, ordering: .relaxed) }
            dk_floats_leave(found)
        }
        #expect(kept.load(ordering: .relaxed) == 0)
        #expect(tiny * 1.5 > 0)
    }

    @Test(arguments: [0, 1, 1000, 600_000]) func `fresh memory is zero and aligned`(count: Int) {
        let buffer = FloatBuffer(count: count)
        #expect(UInt(bitPattern: buffer.pointer) % 64 == 0)
        #expect((0..<count).allSatisfy { buffer.pointer[$0] == 0 })
    }

    @Test func `a workspace grows and stays`() {
        let workspace = Workspace()
        let first = workspace.floats(100)
        #expect(workspace.floats(50) == first)
        workspace.floats(5_000_000)[4_999_999] = 1
        let large = workspace.floats(5_000_000)
        #expect(workspace.floats(1) == large)
    }
}
