import Terms

extension JobRun {
    /// What the job waits for right now, in words: for people who wonder why nothing moves.
    package var situation: String {
        func names(_ isAwaited: (MemberRecord) -> Bool) -> String {
            let awaited = members.filter(isAwaited).map(\.node.description)
            return awaited.isEmpty ? "nobody" : awaited.joined(separator: ", ")
        }
        switch phase {
        case _ where state.isAtRest: return "at rest"
        case _ where job == nil: return "its data is not open"
        case .gathering: return "waits for workers"
        case .preparing: return "generation \(generation) waits for a standstill of \(names { $0.standing == nil })"
        case .beginning:
            return "generation \(generation) waits for the state of step \(applied) at \(names { !$0.isReady })"
        case .running: break
        }
        if let evaluation {
            let missing = evaluation.results.indices.filter { evaluation.results[$0] == nil }.map {
                members[$0].node.description
            }
            return "step \(applied) is evaluated, by \(missing.joined(separator: ", ")) still"
        }
        if let saving, !saving.isCopied {
            let missing = saving.copied.indices.filter { !saving.copied[$0] }.map { members[$0].node.description }
            return "step \(saving.step) is copied, by \(missing.joined(separator: ", ")) still"
        }
        if applied < leased {
            return "step \(applied + 1) runs, \(leased) are leased; behind are \(names { $0.step < leased })"
        }
        return saving == nil ? "stands at step \(applied)" : "stands at step \(applied); a checkpoint is being written"
    }
}
