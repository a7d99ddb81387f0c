import Coordination
import Terms
import Testing
import Wire

/// Equal bits come from equal arithmetic (design §4.1, rule 9).
struct ProfileTests {
    private func join(_ stage: Stage, _ number: Int, profile: UInt64) -> SessionID {
        let session = stage.hello(number) { $0.profile = profile }
        stage.load(session)
        return session
    }

    @Test func `a job begins with the workers of the most common profile and sends the others away`() {
        let stage = Stage()
        let id = stage.submit(
            Stage.description {
                $0.workersMin = 2
                $0.workersMax = 4
            })
        let odd = join(stage, 1, profile: 7)
        let others = [2, 3].map { join(stage, $0, profile: 9) }
        stage.wait(.seconds(5))
        stage.standStill(id, others)

        #expect(stage.roster(id)?.members.map(\.node) == [Stage.node(2), Stage.node(3)])
        #expect(stage.core.job(id)?.profile == 9)
        #expect(stage.core.sessions.first { $0.id == odd }?.job == nil)
        #expect(stage.journal.contains { $0 == .profile(id, 9) })
    }

    @Test func `a worker of another profile never joins a job that has begun`() {
        let stage = Stage()
        let id = stage.submit(
            Stage.description {
                $0.workersMin = 1
                $0.workersMax = 4
            })
        let first = join(stage, 1, profile: 7)
        stage.wait(.seconds(5))
        stage.standStill(id, [first])
        stage.getReady(id, [first])
        let stranger = join(stage, 2, profile: 9)
        stage.wait(.seconds(5))

        #expect(stage.core.sessions.first { $0.id == stranger }?.job == nil)
        #expect(stage.core.job(id)?.workerCount == 1)
    }

    @Test func `an equivalent job takes workers of every profile`() {
        let stage = Stage()
        let id = stage.submit(
            Stage.description {
                $0.workersMin = 2
                $0.isExact = false
            })
        let sessions = [join(stage, 1, profile: 7), join(stage, 2, profile: 9)]
        stage.wait(.seconds(5))
        stage.standStill(id, sessions)

        #expect(stage.roster(id)?.members.count == 2)
        #expect(stage.core.job(id)?.profile == nil)
    }
}
