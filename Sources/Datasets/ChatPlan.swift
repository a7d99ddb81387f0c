import Templates
import Terms

/// How all conversations of one shape (roles, names of members, which texts are empty) become a sample: what a template
/// makes of one of them with its texts left open.
struct ChatPlan: Sendable {
    /// A part of a text that is encoded as one piece.
    enum Part: Sendable {
        case literal([UInt8])
        /// A text of the conversation, by number.
        case open(Int)
    }

    enum Step: Sendable {
        case control(Int32, isTrained: Bool)
        /// - Parameter isBehindControl: whether a control token is known to stand before it, else the last id tells.
        case text([Part], isBehindControl: Bool, isTrained: Bool)
    }

    let steps: [Step]
    /// What must be known of the texts.
    let kind: OpenTexts
    /// Whether the last answer ends without a mark, so that the end of text is to follow.
    let endsOpen: Bool

    /// The plan for conversations like this one, whose texts are their numbers, or empty.
    ///
    /// nil when the template looks into texts, refuses such conversations, or has marks that take white space along.
    init?(_ conversation: Conversation, _ maker: SampleMaker, _ kind: OpenTexts) {
        guard let template = maker.template, !maker.scanner.stripsWhiteSpace else { return nil }
        let mask = TurnMask(template: template, variables: maker.variables, date: maker.date, openTexts: kind)
        guard let (text, trained) = try? maker.rendering(of: conversation, mask) else { return nil }
        let bounds = trained.flatMap { [$0.lowerBound, $0.upperBound] }
        guard Self.areBetweenParts(bounds, text.utf8) else { return nil }
        var steps: [Step] = []
        var at = 0
        for range in trained {
            Self.add(text, at..<range.lowerBound, false, maker.scanner, &steps)
            Self.add(text, range, true, maker.scanner, &steps)
            at = range.upperBound
        }
        Self.add(text, at..<text.count, false, maker.scanner, &steps)
        self.steps = steps
        self.kind = kind
        endsOpen = maker.endsOpen(text, trained)
    }

    /// Whether no bound stands inside the place of an open text.
    private static func areBetweenParts(_ bounds: [Int], _ utf8: [UInt8]) -> Bool {
        var inside = Set<Int>()
        var at = 0
        while at < utf8.count {
            guard OpenTexts.number(in: utf8, at: at) != nil else {
                at += 1
                continue
            }
            for place in at + 1..<at + OpenTexts.width { inside.insert(place) }
            at += OpenTexts.width
        }
        return inside.isDisjoint(with: bounds)
    }

    private static func add(
        _ text: MarkedText, _ section: Range<Int>, _ isTrained: Bool, _ scanner: MarkerScanner, _ steps: inout [Step]
    ) {
        var at = section.lowerBound
        var isBehindControl = false
        func addText(upTo end: Int) {
            guard at < end else { return }
            let parts = parts(text.utf8, at..<end)
            steps.append(.text(parts, isBehindControl: isBehindControl, isTrained: isTrained))
        }
        for match in scanner.matches(in: text, section: section) {
            addText(upTo: match.range.lowerBound)
            steps.append(.control(match.id, isTrained: isTrained))
            at = match.range.upperBound
            isBehindControl = true
        }
        addText(upTo: section.upperBound)
    }

    private static func parts(_ utf8: [UInt8], _ range: Range<Int>) -> [Part] {
        var parts: [Part] = []
        var literal: [UInt8] = []
        var at = range.lowerBound
        while at < range.upperBound {
            if let number = OpenTexts.number(in: utf8, at: at) {
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal = []
                parts.append(.open(number))
                at += OpenTexts.width
            } else {
                literal.append(utf8[at])
                at += 1
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return parts
    }
}

/// Plans by the shape of the conversation, made when the first row of a shape comes.
struct ChatPlans {
    private var places: [UInt64: Int] = [:]
    private var known: [(shape: [UInt8], plan: ChatPlan?)] = []

    /// Shapes that are remembered; rows of further ones are rendered one by one.
    private static let limit = 4096

    /// The plan of a shape; `conversation` is asked for once a shape.
    mutating func plan(
        _ shape: [UInt8], _ maker: SampleMaker, _ conversation: () -> Conversation?
    ) -> ChatPlan? {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in shape { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        if let place = places[hash] { return known[place].shape == shape ? known[place].plan : nil }
        guard known.count < Self.limit else { return nil }
        let plan = conversation().flatMap { ChatPlan($0, maker, .any) ?? ChatPlan($0, maker, .plain) }
        places[hash] = known.count
        known.append((shape, plan))
        return plan
    }
}
