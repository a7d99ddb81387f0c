import ArgumentParser
import Terms

extension Worker {
    /// `drover worker ls`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists a coordinator's workers.")
        @Flag(help: "Also those that are enrolled and not connected.") var all = false
        @OptionGroup var client: ClientOptions

        func run() throws {
            let coordinator = try client.connect()
            let workers = try coordinator.ask(.members(["op": .string("workers"), "all": .bool(true)])).array ?? []
            let connected = workers.filter { $0["connected"]?.bool == true }
            let shown = JSONValue.array(all ? workers : connected)
            if client.json { return Output.json(shown) }
            Output.line(Self.table(shown))
            let absent = workers.count - connected.count
            if absent > 0, !all { Output.note("\(absent) more may join and are not connected: drover worker ls --all") }
        }

        /// The workers as people read them.
        static func table(_ workers: JSONValue) -> String {
            Output.table(
                ["WORKER", "NAME", "THREADS", "JOB", "SHARDS/S", "ADDRESS"],
                (workers.array ?? []).map { worker in
                    [
                        worker["worker"]?.string ?? "–",
                        (worker["name"]?.string ?? "") + (worker["silent"]?.bool == true ? " (silent)" : ""),
                        worker["threads"]?.int.map { "\($0)" } ?? "–",
                        worker["job"]?.int.map { "\($0)" } ?? "–",
                        worker["shards_per_second"]?.double.map { LiveView.decimals($0, 1) } ?? "–",
                        worker["connected"]?.bool == false
                            ? "not connected, key \(worker["key"]?.string ?? "")" : worker["address"]?.string ?? "–",
                    ]
                })
        }
    }

    /// `drover worker drain W`.
    struct Drain: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets a worker leave in order; its process ends.")
        @Argument(help: "The worker: its number or name in `drover worker ls`.") var worker: String
        @OptionGroup var client: ClientOptions
        func run() throws { try client.order("drain", "worker", .string(worker)) }
    }

    /// `drover worker revoke W`.
    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a worker's key out: it is cut off at once and never let in again, connected or not.")
        @Argument(help: "The worker: its number, name or key in `drover worker ls --all`.") var worker: String
        @OptionGroup var client: ClientOptions
        func run() throws { try client.order("revoke", "worker", .string(worker)) }
    }
}

/// `drover worker invite` and `drover client invite`: one-time tokens.
enum Invitation {
    struct ForWorker: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "invite", abstract: "Prints a join line: good for one worker, for 15 minutes.")
        @OptionGroup var client: InvitingOptions
        func run() throws { try client.invite("worker") { "drover worker join \($0) --token \($1)" } }
    }

    struct ForClient: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "invite",
            abstract: "Prints a token with which another user may submit jobs; good once, for 15 minutes.")
        @OptionGroup var client: InvitingOptions
        func run() throws { try client.invite("client") { "drover jobs --coordinator \($0) --token \($1)" } }
    }

    struct InvitingOptions: ParsableArguments {
        @Option(help: "The coordinator's HOST:PORT.")
        var coordinator: String?

        @Option(help: "The coordinator's folder, on its own machine.")
        var state: String?

        @Flag(help: "JSON on standard output.")
        var json = false

        func invite(_ role: String, line: (String, String) -> String) throws {
            let address = try coordinator ?? CoordinatorCommand.address(state: state)
            let answer = try CoordinatorClient.connect(address, token: nil).ask(
                .members(["op": .string("invite"), "role": .string(role)]))
            guard let token = answer["token"]?.string else { throw Failure.failed("the coordinator gave no token") }
            if json {
                Output.json(
                    .members([
                        "token": .string(token), "coordinator": .string(address), "line": .string(line(address, token)),
                        "valid_seconds": answer["valid_seconds"] ?? .null,
                    ]))
            } else {
                Output.line(line(address, token))
            }
        }
    }
}

/// `drover client …`: the people who submit jobs.
struct Client: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lets other users submit jobs.", subcommands: [Invitation.ForClient.self])
}
