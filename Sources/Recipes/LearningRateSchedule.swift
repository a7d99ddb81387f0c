package import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The learning rate as a pure function of the step and of recorded plan events, never of the clock.
///
/// Warm-up, `linear` and `cosine` are transformers' lambdas (`optimization.py`, get_linear_schedule_with_warmup and
/// get_cosine_schedule_with_warmup) taken at step − 1. An anneal multiplies by 1 − √progress: Hägele et al. 2024,
/// arXiv:2405.18392, §3 "1-sqrt". `linear` falls to 0 at the planned end (Li et al. 2020, arXiv:1905.04753, §3).
package struct LearningRateSchedule: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable { case constant, linear, cosine, wsd }

    package var kind: Kind
    /// The rate after warm-up.
    package var peak: Double
    /// Steps of linear warm-up from 0.
    package var warmupSteps: Int
    /// Steps that the job was planned for before any budget; warm-up and the shape of `cosine` refer to it.
    package var plannedSteps: Int
    /// Plan events in the order made; empty = the job runs to its planned end.
    package var events: [PlanEvent] = []

    /// The part of a plan's steps that its anneal takes.
    package static let annealShare = 0.15

    /// The schedule of a job that runs to its planned end.
    package init(kind: Kind, peak: Double, warmupRatio: Double, plannedSteps: Int) {
        self.kind = kind
        self.peak = peak
        self.plannedSteps = plannedSteps
        warmupSteps = Int((warmupRatio * Double(plannedSteps)).rounded(.up))
    }

    /// How many steps an anneal takes for a plan of `plannedSteps`, at least 1.
    package static func annealLength(plannedSteps: Int) -> Int {
        max(1, Int((annealShare * Double(plannedSteps)).rounded(.up)))
    }

    /// The plan of a job that ends after `end`, decided when the steps up to `after` had been leased.
    ///
    /// - Parameters:
    ///   - limit: what ends it before its own length; nil = nothing does.
    ///   - annealing: steps that its ending may take; nil = as many as the plan wants.
    package func event(
        after: Step, cause: PlanEvent.Cause, end: Step, limit: String? = nil, annealing: Int? = nil
    ) -> PlanEvent {
        let end = max(end, after)
        guard limit != nil || kind == .wsd, end > after else {
            return PlanEvent(after: after, cause: cause, end: end, limit: limit)
        }
        let ending = min(annealing ?? Self.annealLength(plannedSteps: end), end - after)
        guard ending > 0 else { return PlanEvent(after: after, cause: cause, end: end, limit: limit) }
        // A linear plan falls to 0 by itself, unless it is cut short.
        let anneals = kind != .linear || cause == .limit
        return PlanEvent(
            after: after, cause: cause, end: end, trunk: end - ending, annealStart: anneals ? end - ending : end,
            annealSteps: anneals ? ending : 0, limit: limit)
    }

    /// The rate of `step` (from 1).
    package func rate(at step: Step) -> Double { peak * factor(done: step - 1, events[...]) }

    /// The share of `peak` after `done` steps, as far as `events` know.
    private func factor(done: Int, _ events: ArraySlice<PlanEvent>) -> Double {
        let natural = event(after: 0, cause: .start, end: plannedSteps)
        guard let index = events.lastIndex(where: { $0.after <= done }) else { return factor(done: done, natural, []) }
        return factor(done: done, events[index], events[..<index])
    }

    private func factor(done: Int, _ event: PlanEvent, _ earlier: ArraySlice<PlanEvent>) -> Double {
        guard event.annealSteps > 0, done >= event.annealStart else { return shape(done: done, end: event.end) }
        // An anneal that a limit begins, or shortens, goes on from the rate it meets.
        let meets = event.cause == .limit && event.annealStart == event.after
        let before = meets ? factor(done: event.annealStart, earlier) : shape(done: event.annealStart, end: event.end)
        let progress = min(1, Double(done - event.annealStart) / Double(event.annealSteps))
        return before * (1 - progress.squareRoot())
    }

    private func shape(done: Int, end: Step) -> Double {
        if done < warmupSteps { return Double(done) / Double(max(1, warmupSteps)) }
        let planned = kind == .linear ? end : plannedSteps
        let rest = Double(max(1, planned - warmupSteps))
        switch kind {
        case .constant, .wsd: return 1
        case .linear: return max(0, Double(planned - done) / rest)
        case .cosine: return max(0, 0.5 * (1 + cos(.pi * min(1, Double(done - warmupSteps) / rest))))
        }
    }
}
