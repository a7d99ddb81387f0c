import Templates
import Terms

/// Which bytes of a written conversation the model is to say.
///
/// With `{% generation %}` blocks the template tells. Otherwise by prefix difference: turn i is what the text of turns
/// 0...i has beyond the text of turns 0..<i followed by the generation prompt; this needs a template whose text only
/// grows with the conversation.
struct TurnMask {
    let template: ChatTemplate
    let variables: JSONObject
    let date: CalendarDate
    /// When given, the conversation's texts are numbers that stand for texts left open.
    var openTexts: OpenTexts?

    /// The text of the first turns of a conversation.
    func render(
        _ turns: ArraySlice<Turn>, of conversation: Conversation, addGenerationPrompt: Bool = false
    ) throws(RowProblem) -> Rendering {
        let input = ChatInput(
            messages: turns.map(\.message), tools: conversation.tools, addGenerationPrompt: addGenerationPrompt,
            variables: variables, date: date, openTexts: openTexts)
        do { return try template.render(input) } catch { throw RowProblem("\(error)") }
    }

    /// The whole text and its trained ranges, ascending, disjoint, none empty.
    func trainedRanges(of conversation: Conversation) throws(RowProblem) -> (MarkedText, [Range<Int>]) {
        let whole = try render(conversation.turns[...], of: conversation)
        guard openTexts == nil || !whole.hasMisplacedRanges else {
            throw RowProblem("marks that are misplaced may not be with other texts")
        }
        // Marks that don't stand where their blocks wrote tell nothing; the prefixes still do.
        let ranges =
            template.marksGenerations && !whole.hasMisplacedRanges
            ? try marked(whole, conversation) : try differences(whole.text, conversation)
        return (whole.text, ranges.filter { !$0.isEmpty })
    }

    private func marked(_ whole: Rendering, _ conversation: Conversation) throws(RowProblem) -> [Range<Int>] {
        let found = Self.union(whole.generationRanges)
        let spoken = conversation.turns.filter { $0.role == Roles.assistant }
        if spoken.allSatisfy(\.isTrained) {
            guard !found.isEmpty || spoken.isEmpty else {
                throw RowProblem("the template \(template.name) marked nothing to train on in this conversation")
            }
            return found
        }
        guard spoken.count == found.count else {
            throw RowProblem(
                "the template \(template.name) marks \(found.count) passages for \(spoken.count) "
                    + "assistant messages, so single messages can't be left out of training")
        }
        return zip(spoken, found).filter(\.0.isTrained).map(\.1)
    }

    /// The same places ascending, overlapping ranges as one.
    private static func union(_ ranges: [Range<Int>]) -> [Range<Int>] {
        var union: [Range<Int>] = []
        for range in ranges.sorted(by: { ($0.lowerBound, $1.upperBound) < ($1.lowerBound, $0.upperBound) }) {
            if let last = union.last, range.lowerBound < last.upperBound {
                union[union.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                union.append(range)
            }
        }
        return union
    }

    private func rewrites(message: Int) -> RowProblem {
        RowProblem(
            "the template \(template.name) doesn't only add text when message \(message) is added (it rewrites or "
                + "leaves out earlier text), so what to train on can't be told; choose a built-in `template`: "
                + ChatTemplate.builtInNames.joined(separator: ", "))
    }

    private func differences(_ whole: MarkedText, _ conversation: Conversation) throws(RowProblem) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (index, turn) in conversation.turns.enumerated() where turn.isTrained {
            let before = try render(conversation.turns[..<index], of: conversation, addGenerationPrompt: true).text
            let isLast = index == conversation.turns.count - 1
            let after = isLast ? whole : try render(conversation.turns[...index], of: conversation).text
            guard after.utf8.starts(with: before.utf8), whole.utf8.starts(with: after.utf8),
                before.count >= ranges.last?.upperBound ?? 0
            else { throw rewrites(message: index + 1) }
            ranges.append(before.count..<after.count)
        }
        return ranges
    }
}
