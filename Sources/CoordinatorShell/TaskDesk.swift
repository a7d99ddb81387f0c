import Dispatch
import Synchronization
import Terms
import Wire

/// What clients have asked for that takes longer than an answer may: done beside the reactor, and fetched afterwards.
final class TaskDesk: Sendable {
    private struct State {
        var next = 1
        /// In the order begun; nil = under way.
        var tasks: [(number: Int, answer: JSONValue?)] = []
    }
    private let state = Mutex(State())
    /// Tasks that are remembered.
    private static let most = 16

    /// A task whose answer will be given with `close`; nil when too many are under way.
    func open() -> Int? {
        state.withLock { state in
            if state.tasks.count == Self.most {
                guard let oldest = state.tasks.firstIndex(where: { $0.answer != nil }) else { return nil }
                state.tasks.remove(at: oldest)
            }
            state.tasks.append((state.next, nil))
            state.next += 1
            return state.next - 1
        }
    }

    func close(_ number: Int, with answer: JSONValue) {
        let fits = answer.encoded().count < WireLimits.controlBytes - 4096
        state.withLock { state in
            guard let place = state.tasks.firstIndex(where: { $0.number == number }) else { return }
            state.tasks[place].answer =
                fits ? answer : CoordinatorService.problem("the answer is too long to be sent")
        }
    }

    /// What a client is told whose task can't begin.
    static let isFull = CoordinatorService.problem("\(most) such questions are being answered: ask again in a while")

    /// Begins a task: `{"task": N}`, or a problem when too many are under way.
    func begin(_ body: @escaping @Sendable () -> JSONValue) -> JSONValue {
        guard let number = open() else { return Self.isFull }
        DispatchQueue.global(qos: .utility).async { [self] in close(number, with: body()) }
        return .members(["task": .int(number)])
    }

    /// `{"op": "task", "task": N}`: `{"done": false}`, or `{"done": true, "answer": …}`.
    func fetch(_ request: JSONValue) -> JSONValue {
        let task = state.withLock { state in state.tasks.first { $0.number == request["task"]?.int } }
        guard let task else {
            return CoordinatorService.problem("the coordinator was started anew meanwhile: ask again")
        }
        guard let answer = task.answer else { return .members(["done": .bool(false)]) }
        return .members(["done": .bool(true), "answer": answer])
    }
}
