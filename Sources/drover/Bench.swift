import ArgumentParser

/// `drover bench`: figures, each with what the machine can do at best beside it.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures this machine on the job's own code.",
        discussion:
            "Figures of computing, copying and storing come with the machine's ceiling, measured in the same run.",
        subcommands: [
            BenchStep.self, BenchLoRA.self, BenchGemm.self, BenchAttention.self, BenchTokenize.self,
            BenchCheckpoint.self, BenchAllReduce.self, BenchRecovery.self, BenchCoordinator.self,
        ])
}
