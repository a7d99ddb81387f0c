package import Terms

/// The steps that a member of a generation has sums of, each begun at first sight: which ones it takes, and for how
/// long it keeps them. What it does not take is lost, for nobody sends a sum twice.
package struct StepWindow<Sums> {
    /// The step at which the generation starts.
    private let target: Step
    /// The newest step that the member itself has worked for, or has the sum of: whoever gives its shards up has no
    /// part in a step.
    package private(set) var newest: Step
    private var steps: [(step: Step, tag: UInt64, sums: Sums)] = []

    /// Members can be ahead of this one by so many steps: nobody ends a step before everybody has begun its shards, but
    /// a member may have none in a generation's first one.
    private static var ahead: Int { 2 }
    /// A step has one recipe; whoever says otherwise can't fill the memory with sums that nobody will finish.
    private static var most: Int { 8 }

    package init(target: Step) {
        self.target = target
        newest = target
    }

    /// Whether a sum of that step and recipe from another member is of use.
    package func takes(_ step: Step, tag: UInt64) -> Bool {
        step > target && step >= newest - 1 && step <= newest + Self.ahead
            && (place(of: step, tag) != nil || steps.count < Self.most)
    }

    /// The member works for `step`, or has its sum: sums of older steps than the one before are let go.
    package mutating func move(to step: Step) {
        newest = max(newest, step)
        steps.removeAll { $0.step < newest - 1 }
    }

    /// The place of a step's sums, made at first sight; good until the window moves.
    package mutating func place(of step: Step, tag: UInt64, make: () -> Sums) -> Int {
        if let place = place(of: step, tag) { return place }
        steps.append((step, tag, make()))
        return steps.count - 1
    }

    package subscript(place: Int) -> Sums {
        get { steps[place].sums }
        _modify { yield &steps[place].sums }
    }

    /// A step's sums; nil = there are none yet, or no more.
    package func sums(of step: Step, tag: UInt64) -> Sums? { place(of: step, tag).map { steps[$0].sums } }

    private func place(of step: Step, _ tag: UInt64) -> Int? {
        steps.firstIndex { $0.step == step && $0.tag == tag }
    }
}
