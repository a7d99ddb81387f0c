import ArgumentParser
import Foundation
import JobSpecs
import ModelFiles
import StorageShell
import Terms

/// `drover export`: a run's result in a form that other tools load.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a checkpoint as a PEFT adapter or a Hugging Face model directory.",
        discussion: """
            Takes the newest sound checkpoint of a run, or the one that RUN@STEP or a manifest's path names. What was
            written is loaded again and its logits are compared with those of the checkpoint.
            """)

    @Argument(
        help:
            "A run directory, RUN@STEP, or the path of a checkpoint's manifest; with --coordinator a job's number, or J@STEP."
    )
    var runOrCheckpoint: String

    @Option(help: "The checkpoint's step; default: the newest one.")
    var step: Int?

    @Option(help: "The coordinator's HOST:PORT: the checkpoint is fetched from there.")
    var coordinator: String?

    @Option(help: "A token from `drover client invite`, for --coordinator; needed once.")
    var token: String?

    @Option(help: "peft (the adapter), hf (all weights of a full run) or merged (base weights and adapter in one).")
    var format: ExportFormat

    @Option(name: [.customShort("o"), .customLong("out"), .customLong("output")], help: "The folder to make.")
    var out: String

    @Option(help: "How weights are stored: fp32 or bf16.")
    var dtype: WeightStorage = .fp32

    @OptionGroup var machine: MachineOptions

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
        guard token == nil || coordinator != nil else { throw Failure.input("--token is for --coordinator") }
        var (run, wanted) = try RunFolder.split(runOrCheckpoint)
        if let step {
            guard wanted == .newest else {
                throw Failure.input("give --step or \(runOrCheckpoint), which names one too")
            }
            wanted = .step(step)
        }
        guard let coordinator else { return try export(run, wanted) }
        guard let job = Int(run) else { throw Failure.input("with --coordinator give a job's number, not `\(run)`") }
        // On the disk that the export goes to, where there must be room for it.
        let scratch = "\(out).fetched-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let client = try CoordinatorClient.connect(coordinator, token: token)
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        let view = LiveView(name: "job \(job)", isJSON: json)
        let result = try FileTransfer(client).fetchCheckpoint(
            of: job, step: wanted.step, into: joinPath(scratch, "checkpoints")
        ) { view.moving("fetching", $0, $1, $2) }
        guard let text = result["resolved"]?.string else { throw Failure.failed("job \(job) has no job file there") }
        try AtomicFile.write(joinPath(scratch, "resolved.yaml"), Array(text.utf8))
        try export(scratch, .newest)
    }

    private func export(_ run: String, _ wanted: WantedCheckpoint) throws {
        let report = try RunExport.write(
            run: run, wanted: wanted, format: format, to: out, storage: dtype, compute: machine.compute())
        if json { Output.json(report.json) } else { Output.line(report.sentence) }
    }
}

extension ExportFormat: ExpressibleByArgument {}
extension WeightStorage: ExpressibleByArgument {}
