import ArgumentParser
import Foundation
import Terms

/// Where the coordinator is; for every command that talks to one.
struct ClientOptions: ParsableArguments {
    @Option(help: "The coordinator's HOST:PORT.")
    var coordinator: String

    @Option(help: "A token from `drover client invite`; needed once.")
    var token: String?

    @Flag(help: "JSON on standard output.")
    var json = false

    func connect() throws -> CoordinatorClient { try CoordinatorClient.connect(coordinator, token: token) }

    /// Asks one question about one job or worker, and prints the answer.
    func order(_ operation: String, _ key: String, _ subject: JSONValue) throws {
        let answer = try connect().ask(.members(["op": .string(operation), key: subject]))
        guard !answer.isNull else { throw Failure.input("the coordinator knows no \(key) \(subject.text)") }
        if json { Output.json(answer) } else { Output.line(answer.prettyText) }
    }
}

/// `drover jobs`: every job of a coordinator.
struct Jobs: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists a coordinator's jobs.")
    @OptionGroup var client: ClientOptions

    func run() throws {
        let jobs = try client.connect().ask(.members(["op": .string("jobs")]))
        if client.json { return Output.json(jobs) }
        Output.line(Self.table(jobs))
    }

    /// The jobs as people read them.
    static func table(_ jobs: JSONValue) -> String {
        Output.table(
            ["JOB", "NAME", "STATE", "STEP", "LOSS", "WORKERS"],
            (jobs.array ?? []).map { job in
                [
                    "\(job["job"]?.int ?? 0)", job["name"]?.string ?? "", job["state"]?.string ?? "",
                    "\(job["step"]?.int ?? 0)/\(job["total_steps"]?.int ?? 0)",
                    job["loss"]?.double.map { LiveView.decimals($0, 4) } ?? "–", "\(job["workers"]?.int ?? 0)",
                ]
            })
    }
}

/// `drover show J`.
struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows one job.")
    @Argument(help: "The job's number.") var job: Int
    @OptionGroup var client: ClientOptions
    func run() throws { try client.order("show", "job", .int(job)) }
}

/// `drover pause J`.
struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Makes a checkpoint and pauses a job.")
    @Argument(help: "The job's number.") var job: Int
    @OptionGroup var client: ClientOptions
    func run() throws { try client.order("pause", "job", .int(job)) }
}

/// `drover cancel J`.
struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Stops a job for good.")
    @Argument(help: "The job's number.") var job: Int
    @OptionGroup var client: ClientOptions
    func run() throws { try client.order("cancel", "job", .int(job)) }
}

/// `drover logs J [-f]`.
struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints a job's events; -f goes on until it rests.")
    @Argument(help: "The job's number.") var job: Int
    @Flag(name: .shortAndLong, help: "Go on as they come.") var follow = false
    @OptionGroup var client: ClientOptions

    func run() throws {
        let view = LiveView(name: "job \(job)", isJSON: client.json)
        let follower = JobFollower(client: try client.connect(), job: job)
        let end = try follower.run(goesOn: follow, show: view.show) { false }
        if let end, follow { view.end(end, run: "\(job) --coordinator \(client.coordinator)") }
    }
}

/// Follows one job's events through losses of the connection; each step once.
final class JobFollower {
    private let client: CoordinatorClient
    private let job: Int
    private var lastStep = 0

    init(client: CoordinatorClient, job: Int) {
        self.client = client
        self.job = job
    }

    /// Shows events until the job rests and returns its `end`.
    ///
    /// - Parameters:
    ///   - goesOn: false = only what there is now; nil is returned then.
    ///   - leave: asked often; true ends the following, nil is returned.
    func run(goesOn: Bool, show: (JSONValue) -> Void, leave: () throws -> Bool) throws -> JSONValue? {
        var request = try follow(goesOn)
        while try !leave() {
            for (id, last, event) in try client.receive(milliseconds: 200) where id == request {
                if let problem = event["error"]?.string { throw Failure.input(problem) }
                if event["event"]?.string == "end" { return event }
                if last, !goesOn { return nil }
                if event["event"]?.string == "step" {
                    guard let step = event["current_steps"]?.int, step > lastStep else { continue }
                    lastStep = step
                }
                show(event)
            }
            if client.reconnected() { request = try follow(goesOn) }
        }
        return nil
    }

    private func follow(_ goesOn: Bool) throws -> UInt64 {
        try client.send(
            .members([
                "op": .string("follow"), "job": .int(job), "after_step": .int(lastStep), "live": .bool(goesOn),
            ]))
    }
}
