import Terms
import Testing
import Wire
import ZeroMQShell

@testable import CoordinatorShell

struct KeyBookTests {
    private func entry(_ role: KeyBook.Role, expires: Int? = nil) throws -> KeyBook.Entry {
        .init(key: try CurveKeyPair.generate().publicKey, role: role, name: "n", expires: expires)
    }

    @Test func `a key is worth something until it is taken out`() throws {
        var book = KeyBook()
        let entries = try (0..<20).map { _ in try entry(.worker) }
        for entry in entries { book.insert(entry) }
        #expect(entries.allSatisfy { book.entry($0.key, now: 5) == $0 })
        #expect(book.entry(try CurveKeyPair.generate().publicKey, now: 5) == nil)
        book.remove(entries[7].key)
        #expect(book.entry(entries[7].key, now: 5) == nil)
        #expect(book.entries.count == 19)
    }

    @Test func `an invitation ends with its time`() throws {
        var book = KeyBook()
        let invitation = try entry(.workerInvitation, expires: 100)
        book.insert(invitation)
        #expect(book.entry(invitation.key, now: 99) == invitation)
        #expect(book.entry(invitation.key, now: 100) == nil)
    }

    @Test func `an entry comes back from the database as it was`() throws {
        for role in [KeyBook.Role.worker, .client, .workerInvitation, .clientInvitation] {
            for expires in [nil, 7] {
                let entry = try entry(role, expires: expires)
                #expect(KeyBook.Entry(key: entry.key.text, json: entry.json) == entry)
            }
        }
        #expect(KeyBook.Entry(key: "short", json: try entry(.worker).json) == nil)
        #expect(KeyBook.Entry(key: try entry(.worker).key.text, json: .members(["role": .string("king")])) == nil)
    }

    /// Every kind of message against every role: what is not listed is not allowed.
    @Test func `each role may say what it needs and nothing else`() {
        let session = Heartbeat(session: 1, sentAt: 2)
        let worker = Message.hello(hello(.worker))
        let client = Message.hello(hello(.client))
        let request = Message.request(id: 1, body: [])
        let position = Position(job: JobID(1), generation: Generation(1), step: 1, digest: 2)
        let all: [(Message, Set<KeyBook.Role>)] = [
            (worker, [.worker]),
            (client, [.client, .workerInvitation, .clientInvitation]),
            (request, [.client, .workerInvitation, .clientInvitation]),
            (.heartbeat(session), [.worker, .client]),
            (.goodbye, [.worker, .client]),
            (.ready(position), [.worker]),
            (.assigned(AssignmentResult(job: JobID(1), parameters: 1, problem: "")), [.worker]),
        ]
        for (message, roles) in all {
            for role in [KeyBook.Role.worker, .client, .workerInvitation, .clientInvitation] {
                #expect(role.allows(message) == roles.contains(role), "\(role) \(message)")
            }
        }
    }

    private func hello(_ role: Hello.Role) -> Hello {
        Hello(
            role: role, node: NodeID(high: 1, low: 2), boot: 1, name: "n", threads: 1, dataEndpoint: "", profile: 0,
            lastEpoch: 0)
    }
}
