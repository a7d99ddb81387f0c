import Templates

extension SampleMaker {
    /// The tokens after which the model is to speak: the conversation so far and the head of the assistant's turn.
    ///
    /// Encoded as in training: the text between two control tokens as one piece, and nothing a user wrote is taken for
    /// a control token.
    package func prompt(of conversation: Conversation) throws(RowProblem) -> [Int32] {
        guard let template else {
            throw RowProblem("the model has no chat template, so turns can't be written; give a built-in one by name")
        }
        let mask = TurnMask(template: template, variables: variables, date: date)
        let text = try mask.render(conversation.turns[...], of: conversation, addGenerationPrompt: true).text
        return tokens(of: text, section: 0..<text.count, after: .start)
    }

    /// What the template writes between an assistant's turn and the user's next one: its end-of-turn mark comes first.
    ///
    /// nil when the template is absent or refuses such a conversation.
    package func turnBoundary() -> (controlToken: Int32?, text: String)? {
        guard let template else { return nil }
        let (answer, question) = ("answer-7f3a", "question-7f3a")
        let turns = [Turn("user", "hello"), Turn("assistant", answer), Turn("user", question)]
        let conversation = Conversation(turns: turns)
        let mask = TurnMask(template: template, variables: variables, date: date)
        guard let text = try? mask.render(conversation.turns[...], of: conversation).text,
            let start = Self.find(Array(answer.utf8), in: text.utf8, from: 0)?.upperBound,
            let end = Self.find(Array(question.utf8), in: text.utf8, from: start)?.lowerBound
        else { return nil }
        let between = String(decoding: text.utf8[start..<end], as: UTF8.self)
        return (scanner.matches(in: text, section: start..<end).first?.id, between)
    }

    private static func find(_ needle: [UInt8], in text: [UInt8], from start: Int) -> Range<Int>? {
        guard start + needle.count <= text.count else { return nil }
        return (start...(text.count - needle.count)).first { text[$0..<$0 + needle.count].elementsEqual(needle) }
            .map { $0..<$0 + needle.count }
    }
}
