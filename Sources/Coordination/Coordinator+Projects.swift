package import Budgeting

/// What several jobs may spend together: the first limit reached rules, a job's own or its project's.
extension Coordinator {
    /// The limits of a project; unlimited until somebody says otherwise.
    package func projectLimits(_ name: String) -> Budget { projects.first { $0.name == name }?.limits ?? Budget() }

    /// What the jobs of a project have spent.
    package func projectSpent(_ name: String) -> Costs {
        jobs.reduce(.zero) { sum, job in
            guard job.description.project == name, let spent = job.ledger?.spent else { return sum }
            return sum.adding(spent) ?? sum
        }
    }

    mutating func limit(project name: String, to budget: Budget) {
        projects.removeAll { $0.name == name }
        let place = projects.firstIndex { $0.name > name } ?? projects.count
        projects.insert((name, budget), at: place)
    }

    /// Tells a job what its project leaves it: the limit less what the other jobs have spent or reserved.
    mutating func share(_ index: Int) {
        let name = jobs[index].description.project
        guard let limits = projects.first(where: { $0.name == name })?.limits else { return }
        var others = Costs.zero
        for place in jobs.indices where place != index && jobs[place].description.project == name {
            guard let ledger = jobs[place].ledger else { continue }
            others = others.adding(ledger.spent)?.adding(ledger.reserved) ?? others
        }
        jobs[index].projectShare = BudgetUnit.allCases.map { unit in limits[unit].map { max(0, $0 - others[unit]) } }
    }
}
