import Foundation
import Terms

/// A real coordinator and real workers on loopback, each with folders of its own inside a scene's.
final class Cluster {
    let scene: Scene
    private(set) var coordinator: Scene.Running
    private(set) var workers: [Scene.Running] = []
    /// `HOST:PORT`.
    let address: String
    /// The token of the join line that the coordinator printed.
    let token: String

    init(_ scene: Scene, on host: String = "127.0.0.1") throws {
        self.scene = scene
        coordinator = try scene.start(
            "coordinator", "--listen", "tcp://\(host):*", "--state", "head", user: "owner")
        let words = try coordinator.firstLine().split(separator: " ").map(String.init)
        guard words.count == 6, words.starts(with: ["drover", "worker", "join"]), words[4] == "--token" else {
            throw CocoaError(.coderInvalidValue, userInfo: ["line": words])
        }
        (address, token) = (words[3], words[5])
    }

    deinit { stop() }

    /// Ends every process that is left, by number.
    func stop() {
        for running in workers + [coordinator] where running.process.isRunning {
            kill(running.process.processIdentifier, SIGKILL)
            running.process.waitUntilExit()
        }
    }

    /// Starts a worker of the coordinator's own user.
    ///
    /// - Parameter isAfar: as on another machine: nothing of the submitter's or the coordinator's can be opened there.
    @discardableResult
    func join(
        _ name: String, token: String? = nil, user: String = "owner", flippingBitAfter step: Int? = nil,
        isAfar: Bool = false
    ) throws -> Scene.Running {
        let worker = try scene.start(
            ["worker", "join", address, "--threads", "1", "--state", name] + (token.map { ["--token", $0] } ?? [])
                + (step.map { ["--flip-bit-after", "\($0)"] } ?? []) + (isAfar ? ["--from-afar"] : []),
            user: user)
        workers.append(worker)
        return worker
    }

    /// Runs a client command to its end.
    func ask(_ arguments: String..., user: String = "owner") throws -> Scene.Outcome {
        try scene.start(arguments + ["--coordinator", address], user: user).outcome()
    }

    /// Ends the coordinator, by default without warning, and starts it again on the same folder and port; returns what
    /// the first one ended with.
    ///
    /// - Parameter meanwhile: done while there is none.
    @discardableResult
    func restartCoordinator(by signal: Int32 = SIGKILL, meanwhile: () throws -> Void = {}) throws -> Scene.Outcome {
        kill(coordinator.process.processIdentifier, signal)
        let outcome = coordinator.outcome()
        try meanwhile()
        coordinator = try scene.start(
            "coordinator", "--listen", "tcp://\(address)", "--state", "head", user: "owner")
        _ = try coordinator.firstLine()
        return outcome
    }

    /// Asks until the answer satisfies a condition, at most 30 seconds.
    func wait(_ arguments: String..., until isRight: (JSONValue) -> Bool) throws -> Bool {
        for _ in 0..<150 {
            let outcome = try scene.start(arguments + ["--coordinator", address, "--json"], user: "owner").outcome()
            if isRight(outcome.end) { return true }
            usleep(200_000)
        }
        return false
    }
}
