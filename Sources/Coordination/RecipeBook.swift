import Recipes
import Terms

/// The recipes of the newest steps with their bytes and tags, so that each is made once and not for every report.
struct RecipeBook: Sendable {
    struct Line: Sendable {
        var recipe: Recipe
        var bytes: [UInt8]
        /// First eight bytes of the digest of `bytes`.
        var tag: UInt64
    }

    private var lines: [Line] = []
    /// More than a worker keeps reports.
    private static let limit = WorkerSession.reportsKept + 2 * JobRun.leaseMost

    /// Drops what another plan would make otherwise.
    mutating func forget(beyond step: Step) { lines.removeAll { $0.recipe.step > step } }

    /// The recipe of `step` of `job`; nil outside its plan.
    mutating func line(_ step: Step, of job: Job) -> Line? {
        guard step >= 1, step <= job.plan.plannedSteps else { return nil }
        if let known = lines.last(where: { $0.recipe.step == step }) { return known }
        let recipe = job.plan.recipe(of: step, schedule: job.learningRate)
        let bytes = recipe.encoded()
        let line = Line(recipe: recipe, bytes: bytes, tag: Recipe.tag(of: bytes))
        if lines.count == Self.limit { lines.removeFirst() }
        lines.append(line)
        return line
    }
}
