package import Budgeting
package import Terms

/// What several jobs may spend together, and what of that was said already.
package struct ProjectRecord: Sendable {
    package let name: String
    package internal(set) var limits: Budget
    /// Units whose warning level was announced; nil = not looked at since the journal was replayed: an earlier life
    /// announced what is beyond its level by then.
    var warned: [BudgetUnit]?
}

/// What a project leaves one of its jobs.
struct ProjectShare: Sendable {
    var name: String
    var limits: Budget
    /// What its other jobs have spent, reserved, and need to end.
    var others: Costs
    /// By unit, counted from the job's first step on; nil = the project has no such limit.
    var left: [Int64?]

    subscript(unit: BudgetUnit) -> Int64? { left[Int(unit.rawValue)] }
}

/// What several jobs may spend together: the first limit reached rules, a job's own or its project's.
extension Coordinator {
    /// The limits of a project; unlimited until somebody says otherwise.
    package func projectLimits(_ name: String) -> Budget { projects.first { $0.name == name }?.limits ?? Budget() }

    /// What the jobs of a project have spent.
    package func projectSpent(_ name: String) -> Costs {
        jobs.reduce(.zero) { sum, job in
            job.description.project == name ? sum.adding(job.ownSpent) ?? sum : sum
        }
    }

    /// Sets a project's limits; `warned` as in `ProjectRecord`.
    mutating func limit(project name: String, to budget: Budget, warned: [BudgetUnit]?) {
        projects.removeAll { $0.name == name }
        let place = projects.firstIndex { $0.name > name } ?? projects.count
        projects.insert(ProjectRecord(name: name, limits: budget, warned: warned), at: place)
    }

    /// Changes a project's limits: what was said of a limit that stays is not said again.
    mutating func change(project name: String, to budget: Budget) {
        let known = projects.first { $0.name == name }
        let kept = known?.warned.map { units in units.filter { known?.limits[$0] == budget[$0] } }
        limit(project: name, to: budget, warned: known == nil ? [] : kept)
    }

    /// Tells a job what its project leaves it: the limit less what the other jobs have spent or reserved, and what they
    /// need to end as they have planned.
    mutating func share(_ index: Int) { jobs[index].share = projectShare(index) }

    /// A job with what its project leaves it now; others may have spent since the job was last looked at.
    package func jobWithShare(_ id: JobID) -> JobRun? {
        guard let index = place(ofJob: id) else { return nil }
        var job = jobs[index]
        job.share = projectShare(index)
        return job
    }

    private func projectShare(_ index: Int) -> ProjectShare? {
        let name = jobs[index].description.project
        guard let limits = projects.first(where: { $0.name == name })?.limits else { return nil }
        var others = Costs.zero
        for place in jobs.indices where place != index && jobs[place].description.project == name {
            guard let ledger = jobs[place].ledger else { continue }
            let reserved = bug == .othersReservationsForgotten ? .zero : ledger.reserved
            let taken = jobs[place].ownSpent.adding(reserved)?.adding(jobs[place].endingClaim)
            others = taken.flatMap { others.adding($0) } ?? others
        }
        // The job holds its bounds against all that is behind it, and what a branch brought along is not the project's.
        let past = jobs[index].ledger?.spent ?? .zero
        let own = jobs[index].ownSpent
        let left = BudgetUnit.allCases.map { unit in
            limits[unit].map { max(0, $0 - others[unit]) + past[unit] - own[unit] }
        }
        return ProjectShare(name: name, limits: limits, others: others, left: left)
    }

    /// Says once which limits of a job's project have reached their warning level, to every job that still spends.
    mutating func warnOfProject(_ index: Int, _ output: inout CoordinatorOutput) {
        let name = jobs[index].description.project
        guard let place = projects.firstIndex(where: { $0.name == name }) else { return }
        let (limits, spent) = (projects[place].limits, projectSpent(name))
        let reached = limits.unitsAtWarning(spent)
        let warned = projects[place].warned ?? reached
        projects[place].warned = warned + reached.filter { !warned.contains($0) }
        for unit in reached where !warned.contains(unit) {
            for job in jobs where job.description.project == name && !job.state.isAtRest {
                output.notices.append(
                    .projectWarned(job.id, project: name, unit, spent: spent[unit], limit: limits[unit] ?? 0))
            }
        }
    }
}
