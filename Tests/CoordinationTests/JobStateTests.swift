import Coordination
import Testing

@Suite struct JobStateTests {
    @Test func `done and cancelled are for ever`() {
        for state in JobState.allCases {
            #expect(!JobState.done.mayBecome(state))
            #expect(!JobState.cancelled.mayBecome(state))
        }
    }

    @Test func `no state follows itself, and every state but QUEUED follows another`() {
        for state in JobState.allCases {
            #expect(!state.mayBecome(state))
            #expect(JobState.allCases.contains { $0.mayBecome(state) })
        }
    }

    @Test func `only a running job can be done or diverged`() {
        for state in JobState.allCases where state != .running {
            for end in [JobState.done, .diverged] { #expect(!state.mayBecome(end)) }
        }
    }

    @Test func `a job that its budget leaves no room for is held before it runs`() {
        for state in JobState.allCases { #expect(state.mayBecome(.budgetExhausted) == !state.isAtRest) }
    }

    @Test func `whatever rests and is not over can be resumed`() {
        for state in JobState.allCases where state.isAtRest && state != .done && state != .cancelled {
            #expect(state.mayBecome(.queued))
            #expect(!state.mayBecome(.running))
        }
    }

    @Test func `exit codes are the contract's`() {
        #expect(JobState.done.exitCode == 0)
        #expect(JobState.failed.exitCode == 1)
        #expect(JobState.budgetExhausted.exitCode == 3)
        #expect(JobState.diverged.exitCode == 4)
        #expect(JobState.paused.exitCode == 130)
    }
}
