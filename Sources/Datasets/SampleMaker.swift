package import Templates
package import Terms

/// What a model is to learn from a row.
package enum Stage: String, Sendable, CaseIterable {
    /// Everything.
    case pt
    /// What the assistant says.
    case sft
}

/// Makes samples of examples: renders, tokenises, and marks what is trained. A pure function of its members.
package struct SampleMaker: Sendable {
    /// What turns text into tokens.
    package let encoder: any TextEncoder
    /// What writes turns; nil = rows that need it are problems.
    package let template: ChatTemplate?
    /// What the model is to learn.
    package let stage: Stage
    /// Whether prompts are trained too.
    package let trainOnPrompt: Bool
    /// Token ids must lie below this.
    package let vocabularyCount: Int
    /// Variables that the template may read, such as `bos_token`.
    package let variables: JSONObject
    /// What `strftime_now` tells.
    package let date: CalendarDate
    let scanner: MarkerScanner

    /// - Parameter template: nil = rows that need one are faults.
    package init(
        encoder: any TextEncoder, template: ChatTemplate?, stage: Stage, trainOnPrompt: Bool = false,
        vocabularyCount: Int, variables: JSONObject = JSONObject(), date: CalendarDate = .epoch
    ) {
        self.encoder = encoder
        self.template = template
        self.stage = stage
        self.trainOnPrompt = trainOnPrompt
        self.vocabularyCount = vocabularyCount
        self.variables = variables
        self.date = date
        scanner = MarkerScanner(tokens: encoder.addedTokens)
    }

    var trainsEverything: Bool { stage == .pt || trainOnPrompt }

    /// The sample of one example, of any length > 0.
    package func sample(of example: Example) throws(RowProblem) -> Sample {
        var sample = Sample()
        switch example {
        case .text(let text):
            sample.append(encoder.document(text), trained: true)
            appendEndOfText(to: &sample)
        case .tokens(let ids, let labels):
            sample = Sample(ids: ids, labels: labels)
        case .completion(let prompt, let completion):
            sample.append(encoder.document(prompt), trained: trainsEverything)
            sample.append(encoder.piece(completion, after: sample.ids.isEmpty ? .start : .text), trained: true)
            appendEndOfText(to: &sample)
        case .chat(let conversation):
            guard let template else {
                throw RowProblem(
                    "the model has no chat template, so turns can't be written; give `template`: "
                        + ChatTemplate.builtInNames.joined(separator: ", "))
            }
            let mask = TurnMask(template: template, variables: variables, date: date)
            let (text, trained) = try rendering(of: conversation, mask)
            encode(text, trained: trained, into: &sample)
            if endsOpen(text, trained) { appendEndOfText(to: &sample) }
        }
        guard sample.count > 0 else { throw RowProblem("the row gives no tokens") }
        try checkRange(sample)
        return sample
    }

    private func appendEndOfText(to sample: inout Sample) {
        guard let end = encoder.endOfText, sample.ids.last != end else { return }
        sample.append([end], trained: true)
    }

    private func checkRange(_ sample: Sample) throws(RowProblem) {
        // A negative id is a huge unsigned one.
        for id in sample.ids where UInt(truncatingIfNeeded: id) >= UInt(vocabularyCount) {
            throw RowProblem("token \(id) is outside the model's vocabulary of \(vocabularyCount)")
        }
        for label in sample.labels
        where UInt(truncatingIfNeeded: label) >= UInt(vocabularyCount) && label != Sample.ignored {
            throw RowProblem("label \(label) is outside the model's vocabulary of \(vocabularyCount)")
        }
    }

    /// Whether the text ends with an answer without an end-of-turn mark, which would never teach the model to stop.
    func endsOpen(_ text: MarkedText, _ trained: [Range<Int>]) -> Bool {
        guard let last = trained.last, last.upperBound == text.count else { return false }
        return scanner.matches(in: text, section: last).isEmpty
    }

    /// The written conversation and the byte ranges that are trained.
    func rendering(of conversation: Conversation, _ mask: TurnMask) throws(RowProblem) -> (MarkedText, [Range<Int>]) {
        if trainsEverything {
            let text = try mask.render(conversation.turns[...], of: conversation).text
            return (text, text.isEmpty ? [] : [0..<text.count])
        }
        return try mask.trainedRanges(of: conversation)
    }

    /// Encodes section by section, cut where training starts and stops, because that is where a generating model takes
    /// over from its prompt; between two control tokens a section is encoded as one text.
    private func encode(_ text: MarkedText, trained: [Range<Int>], into sample: inout Sample) {
        var at = 0
        for range in trained {
            encode(text, section: at..<range.lowerBound, trained: false, into: &sample)
            encode(text, section: range, trained: true, into: &sample)
            at = range.upperBound
        }
        encode(text, section: at..<text.count, trained: false, into: &sample)
    }

    private func encode(_ text: MarkedText, section: Range<Int>, trained: Bool, into sample: inout Sample) {
        // With no token before it a section starts the text; else text stands before it, or a control token.
        let place: PiecePlace = sample.ids.isEmpty ? .start : scanner.isControl(sample.ids.last) ? .control : .text
        sample.append(tokens(of: text, section: section, after: place), trained: trained)
    }

    /// The tokens of a section of a written text: between two control tokens it is encoded as one piece.
    func tokens(of text: MarkedText, section: Range<Int>, after place: PiecePlace) -> [Int32] {
        var ids: [Int32] = []
        var at = section.lowerBound
        var place = place
        func append(upTo end: Int) {
            guard at < end else { return }
            ids += encoder.piece(String(decoding: text.utf8[at..<end], as: UTF8.self), after: place)
        }
        for match in scanner.matches(in: text, section: section) {
            append(upTo: match.range.lowerBound)
            ids.append(match.id)
            at = match.range.upperBound
            place = .control
        }
        append(upTo: section.upperBound)
        return ids
    }
}
