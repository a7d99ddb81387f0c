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

    /// Begins a task: `{"task": N}`, or a problem when too many are under way.
    func begin(_ body: @escaping @Sendable () -> JSONValue) -> JSONValue {
        let number = state.withLock { state -> Int? in
            if state.tasks.count == Self.most {
                guard let oldest = state.tasks.firstIndex(where: { $0.answer != nil }) else { return nil }
                state.tasks.remove(at: oldest)
            }
            state.tasks.append((state.next, nil))
            state.next += 1
            return state.next - 1
        }
        guard let number else {
            return CoordinatorService.problem("\(Self.most) such questions are being answered: ask again in a while")
        }
        DispatchQueue.global(qos: .utility).async { [self] in
            let answer = body()
            let fits = answer.encoded().count < WireLimits.controlBytes - 4096
            state.withLock { state in
                guard let place = state.tasks.firstIndex(where: { $0.number == number }) else { return }
                state.tasks[place].answer =
                    fits ? answer : CoordinatorService.problem("the answer is too long to be sent")
            }
        }
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
