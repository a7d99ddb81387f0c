import Coordination
import Foundation
import StorageShell
import Terms
import Testing

@testable import CoordinatorShell

/// Clients that follow a job, and take in less for a while.
@Suite struct FollowingTests {
    @Test func `a follower whose connection was full goes on in the log where it stopped`() throws {
        let office = try Office()
        let service = office.service
        try service.submit(office.description(data: office.folder.appendingPathComponent("data.cache").path))
        let (job, session) = (JobID(1), SessionID(99))
        let desk = try #require(service.desk(job))
        service.connections.append(.init(session: session, route: [1], descriptor: -1))
        service.followers.append(.init(session: session, request: 1, job: job, isLive: true, step: 0))
        func log(_ step: Step) throws {
            let line = JSONValue.members(["current_steps": .int(step)])
            try desk.log.append(line)
            service.distribute(job, CoordinatorService.tagged("step", line))
        }
        try log(1)
        let first = desk.log.bytes
        try log(2)
        let told = desk.log.bytes

        service.connections[0].waiting.keep([0])
        try log(3)
        #expect(service.followers[0].backlog?.end == told)
        #expect(service.followers[0].step == 2)

        service.connections[0].waiting.removeFirst()
        service.moveFollowers()
        #expect(service.followers[0].backlog == nil)
        #expect(service.followers[0].step == 3 && service.followers[0].heard == desk.log.bytes)

        // The job goes back: what is logged anew stands where it had heard everything.
        service.tell(.rewound(job, to: 1))
        #expect(service.followers[0].heard == first && desk.log.bytes == first)
    }
}
