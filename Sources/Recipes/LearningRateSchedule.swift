#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif
package import Terms

/// The learning rate as a pure function of the step and of recorded plan events, never of the clock.
///
/// Warm-up, `linear` and `cosine` are transformers' lambdas (`optimization.py`, get_linear_schedule_with_warmup and
/// get_cosine_schedule_with_warmup) taken at step − 1. `wsd` is warm-up, stable, decay with factor 1 − √progress:
/// Hägele et al. 2024, arXiv:2405.18392, §3 "1-sqrt".
package struct LearningRateSchedule: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable { case constant, linear, cosine, wsd }

    package var kind: Kind
    /// The rate after warm-up.
    package var peak: Double
    /// Steps of linear warm-up from 0.
    package var warmupSteps: Int
    /// Steps that the job was planned for before any budget; warm-up and the shapes of `linear` and `cosine` refer to it.
    package var plannedSteps: Int
    /// First step of the anneal (from 1), when there is one.
    package var annealStart: Step?
    /// Steps that the anneal takes, > 0 when `annealStart` is set.
    package var annealSteps: Int

    /// The part of the planned steps that `wsd` spends annealing.
    package static let annealShare = 0.15

    /// The schedule of a job that runs to its planned end.
    package init(kind: Kind, peak: Double, warmupRatio: Double, plannedSteps: Int) {
        self.kind = kind
        self.peak = peak
        self.plannedSteps = plannedSteps
        warmupSteps = Int((warmupRatio * Double(plannedSteps)).rounded(.up))
        if kind == .wsd, plannedSteps > 0 {
            annealSteps = Self.annealLength(plannedSteps: plannedSteps)
            annealStart = plannedSteps - annealSteps + 1
        } else {
            annealSteps = 0
            annealStart = nil
        }
    }

    /// How many steps an anneal takes for a plan of `plannedSteps`, at least 1.
    package static func annealLength(plannedSteps: Int) -> Int {
        max(1, Int((annealShare * Double(plannedSteps)).rounded(.up)))
    }

    /// The rate of `step` (from 1).
    package func rate(at step: Step) -> Double { peak * factor(done: step - 1) }

    /// The share of `peak` after `done` steps.
    private func factor(done: Int) -> Double {
        if let annealStart, done >= annealStart - 1 {
            let before = shape(done: annealStart - 1)
            let progress = min(1, Double(done - (annealStart - 1)) / Double(annealSteps))
            return before * (1 - progress.squareRoot())
        }
        return shape(done: done)
    }

    private func shape(done: Int) -> Double {
        if done < warmupSteps { return Double(done) / Double(max(1, warmupSteps)) }
        let rest = Double(max(1, plannedSteps - warmupSteps))
        switch kind {
        case .constant, .wsd: return 1
        case .linear: return max(0, Double(plannedSteps - done) / rest)
        case .cosine: return max(0, 0.5 * (1 + cos(.pi * Double(done - warmupSteps) / rest)))
        }
    }
}
