import ArgumentParser
import Kernels
import Terms

/// `drover doctor`: what this machine has, what is wrong, and how to mend it.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what this machine has, what is wrong and how to mend it.",
        discussion: "Exit code 1 when something is broken; warnings alone leave it 0.")

    @Option(help: "Folder on the disk that jobs will write to.")
    var directory = "."

    @OptionGroup var machine: MachineOptions

    @Flag(help: "JSON on standard output.")
    var json = false

    /// One thing that was looked at.
    struct Finding {
        enum State: String { case ok, warning, broken }
        var name: String
        var state: State
        /// What there is.
        var found: String
        /// How to mend it, nil when there is nothing to mend.
        var advice: String?

        init(_ name: String, _ found: String, _ state: State = .ok, advice: String? = nil) {
            (self.name, self.state, self.found, self.advice) = (name, state, found, advice)
        }

        var json: JSONValue {
            .members([
                "name": .string(name), "state": .string(state.rawValue), "found": .string(found),
                "advice": advice.map(JSONValue.string) ?? .null,
            ])
        }
    }

    func run() throws {
        let compute = machine.compute()
        var findings = MachineFindings.cores() + MachineFindings.instructions(compute.level)
        findings += MachineFindings.libraries() + MachineFindings.memory() + MachineFindings.disk(directory)
        findings += MachineFindings.clock() + MachineFindings.limits()
        let gemm = Ceiling.gemm(compute, budget: 0.2)
        findings.append(
            Finding(
                "matrix products",
                "\(Int(gemm.gigaflops)) GFLOP/s fp32 on \(compute.team.threads) threads (\(gemm.library))"))
        let copy = Ceiling.copyBytesPerSecond(compute) / 1e9
        findings.append(Finding("memory speed", "\((copy * 10).rounded() / 10) GB/s, read and written together"))
        if json {
            Output.json(
                .members([
                    "ok": .bool(!findings.contains { $0.state == .broken }), "findings": .array(findings.map(\.json)),
                    "gemm_gflops": .double(gemm.gigaflops), "memory_gb_per_second": .double(copy),
                ]))
        } else {
            findings.forEach(Self.show)
        }
        if findings.contains(where: { $0.state == .broken }) { throw Failure.ended(code: 1) }
    }

    private static func show(_ finding: Finding) {
        let mark =
            switch finding.state {
            case .ok: Output.styled("ok  ", .green)
            case .warning: Output.styled("warn", .yellow)
            case .broken: Output.styled("BAD ", .red)
            }
        Output.line("\(mark)  \(Output.styled(finding.name, .bold)): \(finding.found)")
        if let advice = finding.advice { Output.line("      → \(advice)") }
    }
}
