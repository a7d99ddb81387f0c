import Terms

/// Which samples are trained on, which are kept for validation, and how they are laid into sequences.
/// A pure function of the lengths and the settings.
struct SequencePlan {
    /// Tokens of each sample, each at most `settings.cutoffLength`.
    let lengths: [UInt32]
    /// Sample count after each file, and each file's weight.
    let filesEnd: [Int]
    let weights: [Double]
    let settings: DatasetSettings

    /// The sequences of the two sections.
    func tables() throws(DatasetError) -> (train: SequenceTable, validation: SequenceTable) {
        let held = try settings.validation.count(of: lengths.count)
        var split = Selection(count: held, of: lengths.count, random: Philox(seed: settings.seed, purpose: .split))
        var train: [UInt32] = []
        var validation: [UInt32] = []
        train.reserveCapacity(lengths.count - held)
        var first = 0
        for (number, end) in filesEnd.enumerated() {
            let start = train.count
            for sample in first..<end {
                if split.next() { validation.append(UInt32(sample)) } else { train.append(UInt32(sample)) }
            }
            first = end
            repeatTail(of: &train, from: start, weight: weights[number], file: number)
        }
        guard !train.isEmpty else { throw .settings("dataset: the weights leave nothing to train on") }
        return (sequences(of: train), sequences(of: validation))
    }

    /// Gives the samples from `start` on their weight: whole passes one after another, then the fraction.
    private func repeatTail(of train: inout [UInt32], from start: Int, weight: Double, file: Int) {
        if weight == 1 { return }
        let once = Array(train[start...])
        train.removeSubrange(start...)
        for _ in 0..<Int(weight) { train += once }
        let rest = Int(((weight - weight.rounded(.down)) * Double(once.count)).rounded())
        let random = Philox(seed: settings.seed, purpose: .mixing, stream: UInt64(file))
        var chosen = Selection(count: rest, of: once.count, random: random)
        for sample in once where chosen.next() { train.append(sample) }
    }

    private func sequences(of documents: [UInt32]) -> SequenceTable {
        guard settings.packing else { return SequenceTable(oneEach: documents) }
        let packed = Packing.bestFit(lengths: documents.map { lengths[Int($0)] }, capacity: settings.cutoffLength)
        return packed.renamed(documents)
    }
}
