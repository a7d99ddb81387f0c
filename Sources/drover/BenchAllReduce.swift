import ArgumentParser
import Foundation
import Kernels
import Terms
import WorkerShell

/// `drover bench allreduce`: the gradient exchange of a job between worker processes on loopback, without a job.
struct BenchAllReduce: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allreduce", abstract: "Times the addition of gradients between worker processes on loopback.",
        discussion: """
            Every member holds one gradient; each adds its slice of all of them in the tree's order and sends the result to
            the others, as in a job's step: through memory that both map, or, with --sockets, through connections of loopback.
            The ceiling is what one core copies in memory in the same time.
            """)

    @Option(help: "Worker processes.")
    var workers = 2

    @Option(help: "MiB of a gradient.")
    var mib = 16

    @Option(help: "Rounds, after three that warm up.")
    var rounds = 20

    @Flag(help: "No shared memory, as between machines.")
    var sockets = false

    @Option(name: .customLong("member"), help: .hidden)
    var member: Int?

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard (1...64).contains(workers), (1...4096).contains(mib), (1...100_000).contains(rounds) else {
            throw ValidationError("--workers must be in 1…64, --mib in 1…4096, --rounds in 1…100000")
        }
    }

    private var elements: Int { mib << 18 }

    /// Rounds that are not counted.
    private static let warmUp = 3

    func run() throws {
        if let member { return try take(part: member) }
        var processes: [(process: Process, input: FileHandle, output: FileHandle)] = []
        defer { for member in processes where member.process.isRunning { member.process.terminate() } }
        for rank in 0..<workers {
            let process = Process()
            let (input, output) = (Pipe(), Pipe())
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe")
            process.arguments =
                [
                    "bench", "allreduce", "--workers", "\(workers)", "--mib", "\(mib)", "--rounds", "\(rounds)",
                    "--member",
                    "\(rank)",
                ] + (sockets ? ["--sockets"] : [])
            (process.standardInput, process.standardOutput) = (input, output)
            try process.run()
            processes.append((process, input.fileHandleForWriting, output.fileHandleForReading))
        }
        let endpoints = processes.map { Self.line($0.output) }
        let everybody = Data((endpoints.joined(separator: " ") + "\n").utf8)
        for member in processes { try member.input.write(contentsOf: everybody) }
        // Nobody begins a round before everybody has a gradient for it.
        for _ in 0..<rounds + Self.warmUp {
            for member in processes { _ = Self.line(member.output) }
            for member in processes { try member.input.write(contentsOf: Data("\n".utf8)) }
        }
        let lines = processes.map { Self.line($0.output) }
        for member in processes { try? member.input.close() }
        for member in processes { member.process.waitUntilExit() }
        // The last word of a line is the way that the chunks came.
        let times = lines.map { $0.split(separator: " ").dropLast().compactMap { Double($0) } }
        let transports = Set(lines.compactMap { $0.split(separator: " ").last.map(String.init) })
        guard times.allSatisfy({ $0.count == rounds }) else {
            throw Failure.failed("a member of the exchange ended early: see its message above")
        }
        // A round is over when its last member has the sum.
        report(
            (0..<rounds).map { round in times.map { $0[round] }.max() ?? 0 },
            transport: transports.count == 1 ? transports.first! : "mixed")
    }

    private func report(_ rounds: [Double], transport: String) {
        let bytes = Double(elements * 4)
        let median = Measuring.median(rounds)
        let summary = JSONValue.members([
            "workers": .int(workers), "mib": .int(mib), "rounds": .int(rounds.count),
            "transport": .string(transport), "seconds": .double(median),
            "seconds_min": .double(rounds.min() ?? 0), "seconds_max": .double(rounds.max() ?? 0),
            "bytes_per_second": .double(bytes / median), "copy_ceiling_bytes_per_second": .double(Self.copyRate()),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    /// Bytes a second that one core copies between two buffers larger than its caches.
    private static func copyRate() -> Double {
        let count = 16 << 20
        let (from, to) = (Measuring.filled(count), Measuring.filled(count))
        let seconds = Measuring.best { memcpy(to.pointer, from.pointer, count * 4) }
        return Double(count * 4) / seconds
    }

    /// One member's process: says where it listens, hears where everybody does, adds, tells its times.
    private func take(part rank: Int) throws {
        let member = try ExchangeBench(rank: rank, world: workers, count: elements, isNear: !sockets)
        Output.line(member.endpoint)
        guard let line = readLine() else { return }
        try member.connect(line.split(separator: " ").map(String.init))
        var times: [Double] = []
        for round in 0..<rounds + Self.warmUp {
            if round == Self.warmUp { member.beginCounting() }
            member.prepare()
            Output.line("")
            _ = readLine()
            let (seconds, first, last) = try member.round()
            guard first == member.expected(0), last == member.expected(elements - 1) else {
                throw Failure.failed("the exchange gave a wrong sum")
            }
            if round >= Self.warmUp { times.append(seconds) }
        }
        Output.line((times.map { "\($0)" } + [member.transport]).joined(separator: " "))
        // What the sockets still hold is the others' last sum: nobody leaves before everybody has it.
        _ = readLine()
    }

    private static func line(_ handle: FileHandle) -> String {
        var bytes: [UInt8] = []
        while let byte = (try? handle.read(upToCount: 1))?.first, byte != 0x0A { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
