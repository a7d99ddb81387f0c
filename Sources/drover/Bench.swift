import ArgumentParser

/// `drover bench`: figures, each with what the machine can do at best beside it.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures this machine on the job's own code.",
        discussion: "Every figure comes with the machine's ceiling, measured in the same process.",
        subcommands: [
            BenchStep.self, BenchLoRA.self, BenchGemm.self, BenchAttention.self, BenchTokenize.self,
            BenchCheckpoint.self, BenchAllReduce.self, BenchRecovery.self, BenchCoordinator.self,
        ])
}
