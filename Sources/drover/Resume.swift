import ArgumentParser
import Foundation
import JobSpecs
import Terms

/// `drover resume RUN_DIR`: goes on with a run on this machine, with any number of workers, to the same bits.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Goes on with a paused, stopped or crashed run.",
        discussion: """
            Any number of workers gives the same result. Run keys (workers, budget, saving, output) may be changed with
            key=value; keys that decide the result may not.
            """)

    @Argument(help: ArgumentHelp("The run's folder (its job's output_dir).", valueName: "run-dir"))
    var folder: String

    @Argument(help: "Changed run keys: budget.tokens=50M save_steps=100")
    var overrides: [String] = []

    @OptionGroup var options: RunOptions

    func run() throws {
        let path = "\(folder)/resolved.yaml"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input("\(folder): holds no resolved.yaml: give the output_dir of a run")
        }
        let kept = try JobSpec.read(yaml: String(decoding: data, as: UTF8.self), file: path).get()
        let absolute = URL(fileURLWithPath: folder).standardizedFileURL.path
        var spec = try kept.withOverrides(overrides + ["output_dir=\(absolute)"]).get()
        let changed = spec.differences(from: kept, tag: .result)
        guard changed.isEmpty else {
            throw Failure.input(changed.map {
                "\($0.key.entry.name) decides the result and can't change on resume (\($0.old) → \($0.new))"
            })
        }
        if let workers = options.workers { spec = try spec.withWorkers(workers).get() }
        try LocalRun(spec, options: options).train(resuming: true)
    }
}
