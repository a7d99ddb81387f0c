import ArgumentParser

/// The one binary; each subcommand stands in a file of its own.
@main
struct Drover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover",
        abstract: "Fine-tunes language models on the CPU machines you already have.",
        discussion: """
            drover train configs/quickstart.yaml     one machine, nothing set up
            drover coordinator · drover worker join  a cluster
            Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 budget exhausted, 4 diverged, 130 interrupted.
            """,
        version: "0.1.0",
        subcommands: [Train.self, Resume.self, CoordinatorCommand.self, Worker.self])
}
