import ArgumentParser
import JobSpecs
import ModelFiles

/// `drover export`: a run's result in a form that other tools load.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a checkpoint as a PEFT adapter or a Hugging Face model directory.",
        discussion: """
            Takes the newest sound checkpoint of a run, or the one that RUN@STEP or a manifest's path names. What was
            written is loaded again and its logits are compared with those of the checkpoint.
            """)

    @Argument(help: "A run directory, RUN@STEP, or the path of a checkpoint's manifest.")
    var runOrCheckpoint: String

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
        let (run, wanted) = try RunFolder.split(runOrCheckpoint)
        let report = try RunExport.write(
            run: run, wanted: wanted, format: format, to: out, storage: dtype, compute: machine.compute())
        if json { Output.json(report.json) } else { Output.line(report.sentence) }
    }
}

extension ExportFormat: ExpressibleByArgument {}
extension WeightStorage: ExpressibleByArgument {}
