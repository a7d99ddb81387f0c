import ArgumentParser

/// The program starts here: libraries are pinned first, then the command runs.
@main
enum Main {
    static func main() {
        Launch.pinLibraries()
        Failure.run(Drover.self)
    }
}

/// The one binary; each subcommand stands in a file of its own.
struct Drover: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover",
        abstract: "Fine-tunes language models on the CPU machines you already have.",
        discussion: """
            drover train configs/quickstart.yaml     one machine, nothing set up
            drover coordinator · drover worker join  a cluster
            Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 budget exhausted, 4 diverged, 130 interrupted.
            """,
        version: "0.1.0",
        subcommands: [
            Train.self, Resume.self, CoordinatorCommand.self, Worker.self, Client.self, Top.self, Jobs.self, Show.self,
            Logs.self, Pause.self,
            Cancel.self, Sim.self,
            Chat.self, Generate.self, Eval.self, LogitsCommand.self, Export.self, CheckpointCommand.self,
            BudgetCommand.self,
            Estimate.self, Usage.self, Fsck.self,
            DataCommand.self, Tokenize.self, TokenizerCommand.self, TemplateCommand.self, Init.self, Bench.self,
            Doctor.self,
        ])
}
