import Templates
import Terms

/// The shape of a conversation as bytes: for each turn its role, then its members in their order, and whether it is an
/// answer that is not to be trained on.
enum Shape {
    static let turn: UInt8 = 0xF0
    static let role: UInt8 = 0xF1
    static let emptyText: UInt8 = 0xF2
    static let text: UInt8 = 0xF3
    static let untrained: UInt8 = 0xF4
    /// Longer names of members are no usual ones.
    static let nameLimit = 64
    /// Turns of the longest conversation that has a plan.
    static let turnLimit = 128

    /// The conversation of a shape, its texts being their numbers; nil when they are too many.
    static func conversation(_ shape: [UInt8]) -> Conversation? {
        var turns: [Turn] = []
        var number = 0
        var at = 0
        while at < shape.count {
            let role = Roles.known[Int(shape[at + 1])]
            var message = JSONObject()
            var isTrained = role == Roles.assistant
            at += 2
            while at < shape.count, shape[at] != turn {
                let kind = shape[at]
                guard kind != Self.role, kind != untrained else {
                    if kind == untrained { isTrained = false } else { message["role"] = .string(role) }
                    at += 1
                    continue
                }
                let count = Int(shape[at + 1])
                let name = String(decoding: shape[at + 2..<at + 2 + count], as: UTF8.self)
                message[name] = .string(kind == text ? String(number) : "")
                if kind == text { number += 1 }
                at += 2 + count
            }
            RowParser.aliasReasoning(&message)
            turns.append(Turn(role: role, message: message, isTrained: isTrained))
        }
        return number < 1 << 14 ? Conversation(turns: turns) : nil
    }
}

extension RowWorker {
    /// Reads the row's turns into `shape` and `texts`; false when it is not of a usual shape.
    func readChat() -> Bool {
        guard !hasValue("tools") else { return false }
        switch format {
        case .messages: return readMessages()
        case .sharegpt: return readShareGPT()
        default: return readAlpaca()
        }
    }

    /// Whether a member is there and says something.
    private func hasValue(_ key: StaticString) -> Bool {
        guard let node = tape.member(key, of: 0), tape.nodes[node].kind != .null else { return false }
        return !(tape.nodes[node].kind == .string && tape.nodes[node].count == 0)
    }

    private func readMessages() -> Bool {
        guard let list = turns("messages") else { return false }
        var hasAnswer = false
        var at = list + 1
        while at < tape.nodes[list].next {
            guard readMessage(at, &hasAnswer) else { return false }
            at = tape.nodes[at].next
        }
        return hasAnswer
    }

    /// The list of turns under a key, when it is one of a usual length.
    private func turns(_ key: StaticString) -> Int? {
        guard let list = tape.member(key, of: 0), tape.nodes[list].kind == .array else { return nil }
        var count = 0
        var at = list + 1
        while at < tape.nodes[list].next {
            count += 1
            at = tape.nodes[at].next
        }
        return (1...Shape.turnLimit).contains(count) ? list : nil
    }

    private func readMessage(_ message: Int, _ hasAnswer: inout Bool) -> Bool {
        guard tape.nodes[message].kind == .object, let role = tape.member("role", of: message),
            let number = Self.role(tape.nodes[role])
        else { return false }
        shape.append(Shape.turn)
        shape.append(number)
        var hasContent = false
        var isTrained = number == Self.assistant
        var key = message + 1
        while key < tape.nodes[message].next {
            let (name, value) = (tape.nodes[key], tape.nodes[key + 1])
            let isRole = key + 1 == role
            key = value.next
            if value.kind == .null { continue }
            if isRole {
                shape.append(Shape.role)
            } else if let wants = Self.wantsTraining(name, value) {
                isTrained = isTrained && wants
            } else {
                guard value.kind == .string, name.count <= Shape.nameLimit, !Self.hasMeaning(name) else { return false }
                hasContent = hasContent || name.isText("content")
                append(name.bytes, value.bytes)
            }
        }
        if number == Self.assistant, !isTrained { shape.append(Shape.untrained) }
        hasAnswer = hasAnswer || isTrained
        return hasContent
    }

    /// What a member says about training on its message; nil when it is another one, or says it in another way.
    private static func wantsTraining(_ name: JSONTape.Node, _ value: JSONTape.Node) -> Bool? {
        if name.isText("train") { return value.kind == .bool ? value.start[0] == UInt8(ascii: "t") : nil }
        guard name.isText("weight") || name.isText("loss_weight"), let weight = value.integer,
            weight == 0 || weight == 1
        else { return nil }
        return weight == 1
    }

    /// Whether a member is more than a text for the template.
    private static func hasMeaning(_ name: JSONTape.Node) -> Bool {
        name.isText("tool_calls") || name.isText("weight") || name.isText("loss_weight") || name.isText("train")
    }

    private func append(_ name: UnsafeBufferPointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>) {
        shape.append(text.isEmpty ? Shape.emptyText : Shape.text)
        shape.append(UInt8(name.count))
        shape.append(contentsOf: name)
        if !text.isEmpty { texts.append(text) }
    }

    /// A turn with nothing but a role and a text.
    private func appendTurn(_ role: UInt8, _ text: UnsafeBufferPointer<UInt8>) {
        shape.append(Shape.turn)
        shape.append(role)
        shape.append(Shape.role)
        Self.content.withUTF8Buffer { append($0, text) }
    }

    private static let content: StaticString = "content"
    private static let system: UInt8 = 0
    private static let user: UInt8 = 2
    private static let assistant: UInt8 = 3

    /// The number of a role in `Roles.known`.
    private static func role(_ node: JSONTape.Node) -> UInt8? {
        if node.isText("user") { return user }
        if node.isText("assistant") { return assistant }
        if node.isText("system") { return system }
        guard node.kind == .string, let number = Roles.known.firstIndex(where: { node.bytes.elementsEqual($0.utf8) })
        else { return nil }
        return UInt8(number)
    }

    private func readShareGPT() -> Bool {
        guard let list = turns("conversations") else { return false }
        if hasValue("system") {
            guard let system = text("system") else { return false }
            appendTurn(Self.system, system)
        }
        var hasAnswer = false
        var at = list + 1
        while at < tape.nodes[list].next {
            guard tape.nodes[at].kind == .object, let from = tape.member("from", of: at),
                let value = tape.member("value", of: at), tape.nodes[value].kind == .string,
                tape.member("role", of: at) == nil, tape.member("tool_calls", of: at) == nil
            else { return false }
            if tape.nodes[from].isText("human") || tape.nodes[from].isText("user") {
                appendTurn(Self.user, tape.nodes[value].bytes)
            } else if tape.nodes[from].isText("gpt") || tape.nodes[from].isText("assistant") {
                appendTurn(Self.assistant, tape.nodes[value].bytes)
                hasAnswer = true
            } else if tape.nodes[from].isText("system") {
                appendTurn(Self.system, tape.nodes[value].bytes)
            } else {
                return false
            }
            at = tape.nodes[at].next
        }
        return hasAnswer
    }

    private func readAlpaca() -> Bool {
        guard let instruction = text("instruction"), let output = text("output") else { return false }
        if let history = tape.member("history", of: 0), tape.nodes[history].kind != .null {
            guard tape.nodes[history].kind == .array, tape.nodes[history].next == history + 1 else { return false }
        }
        var question = instruction
        if hasValue("input") {
            guard let input = text("input") else { return false }
            question = instruction.isEmpty ? input : tape.joined(instruction, input)
        }
        if hasValue("system") {
            guard let system = text("system") else { return false }
            appendTurn(Self.system, system)
        }
        appendTurn(Self.user, question)
        appendTurn(Self.assistant, output)
        return true
    }
}

/// What plans of the kind `OpenTexts.plain` ask of a text.
enum PlainText {
    static func isPlain(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = text.first, !startsWithSpace(text, at: 0), first != 0 else { return text.isEmpty }
        var last = text.count - 1
        while last > 0, text[last] & 0xC0 == 0x80 { last -= 1 }
        return !startsWithSpace(text, at: last) && !hasTag(text)
    }

    /// Whether white space of any kind, or what some call so, starts at `at`.
    private static func startsWithSpace(_ text: UnsafeBufferPointer<UInt8>, at: Int) -> Bool {
        let first = text[at]
        if first <= 0x20 || first == 0x7F { return true }
        if first < 0x80 { return false }
        var iterator = text[at...].makeIterator()
        var decoder = UTF8()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return true }
        return scalar.properties.isWhitespace || scalar.properties.generalCategory == .format
    }

    private static let tags = OpenTexts.marks.map { Array($0.utf8) }

    private static func hasTag(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var at = 0
        while let place = text[at...].firstIndex(of: UInt8(ascii: "<")) {
            for tag in tags where text.count - place >= tag.count {
                if text[place..<place + tag.count].elementsEqual(tag) { return true }
            }
            at = place + 1
        }
        return false
    }
}
