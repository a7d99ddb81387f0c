import Terms

/// A value of the template language: Python's, as far as chat templates see them.
enum Value {
    /// A name or member that isn't there; the text tells what, for errors.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    /// An integer literal beyond 64 bits; it can only be shown.
    case bigInteger(String)
    case float(Double)
    case text(MarkedText)
    /// A text with places for texts that are left open.
    case open(MarkedText, OpenTextLog)
    case list(ValueList)
    case tuple(ValueList)
    case dict(ValueDict)
    /// What lazy filters give: it can be walked once and has no length.
    case iterator(ValueIterator)
    case namespace(Namespace)
    case loop(LoopState)
    case macro(Macro)
    case function(GlobalFunction)
    case method(BoundMethod)

    static func template(_ text: String) -> Value { .text(MarkedText(template: text)) }
    static func list(_ elements: [Value]) -> Value { .list(ValueList(elements)) }
    static func tuple(_ elements: [Value]) -> Value { .tuple(ValueList(elements)) }

    /// A JSON value whose texts all have one origin.
    init(_ json: JSONValue, isData: Bool) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .number(let number):
            if let value = number.isInteger ? Int(number.text) : nil {
                self = .integer(value)
            } else {
                self = number.isInteger ? .bigInteger(number.text) : .float(number.doubleValue)
            }
        case .string(let text): self = .text(isData ? MarkedText(data: text) : MarkedText(template: text))
        case .array(let elements): self = .list(elements.map { Value($0, isData: isData) })
        case .object(let object):
            self = .dict(
                ValueDict(
                    object.members.map { member in
                        (
                            .text(isData ? MarkedText(data: member.key) : MarkedText(template: member.key)),
                            Value(member.value, isData: isData)
                        )
                    }))
        }
    }

    /// Levels of containers in the value, 0 for a plain one. Bounded, so that walking a value can't exhaust the stack.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dict(let dict): dict.depth
        case .iterator(let iterator): iterator.depth
        default: 0
        }
    }

    /// The type's name in Python, for error messages.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer, .bigInteger: "int"
        case .float: "float"
        case .text, .open: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .iterator: "generator"
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .macro: "Macro"
        case .function: "function"
        case .method: "method"
        }
    }
}

/// Elements of a list or tuple.
struct ValueList {
    let elements: [Value]
    let depth: Int

    init(_ elements: [Value]) {
        self.elements = elements
        depth = 1 + elements.reduce(0) { max($0, $1.depth) }
    }
}

/// One member of a dict.
struct ValueEntry {
    var key: Value
    var value: Value
}

/// Members of a dict in the order of their insertion.
struct ValueDict {
    private(set) var entries: [ValueEntry]
    private(set) var depth: Int

    /// Later values of equal keys win, in the place of the first.
    init(_ entries: [(key: Value, value: Value)] = []) {
        self.entries = []
        depth = 1
        for entry in entries { insert(entry.key, entry.value) }
    }

    mutating func insert(_ key: Value, _ value: Value) {
        depth = max(depth, 1 + max(key.depth, value.depth))
        if let place = entries.firstIndex(where: { $0.key.equals(key) }) {
            entries[place].value = value
        } else {
            entries.append(ValueEntry(key: key, value: value))
        }
    }

    func value(_ key: Value) -> Value? { entries.first { $0.key.equals(key) }?.value }

    func value(_ key: String) -> Value? {
        entries.first { entry in
            if case .text(let text) = entry.key { text.utf8.elementsEqual(key.utf8) } else { false }
        }?.value
    }
}

/// A sequence that can be walked once.
final class ValueIterator {
    private var elements: [Value]
    let depth: Int

    init(_ elements: [Value]) {
        self.elements = elements
        depth = 1 + elements.reduce(0) { max($0, $1.depth) }
    }

    /// What is left; nothing afterwards.
    func takeAll() -> [Value] {
        defer { elements = [] }
        return elements
    }

    /// The next element.
    func takeFirst() -> Value? { elements.isEmpty ? nil : elements.removeFirst() }
}

/// The one mutable kind of value: members that a template sets across scopes.
final class Namespace {
    var members: [(name: String, value: Value)] = []

    subscript(name: String) -> Value? {
        get { members.first { $0.name == name }?.value }
        set {
            guard let newValue else { return }
            if let place = members.firstIndex(where: { $0.name == name }) {
                members[place].value = newValue
            } else {
                members.append((name, newValue))
            }
        }
    }
}

/// Where a loop is.
final class LoopState {
    let elements: [Value]
    var index = 0
    /// What `loop.changed` saw last.
    var last: [Value]?

    init(_ elements: [Value]) { self.elements = elements }
}

/// A macro and the scope it was defined in.
final class Macro {
    let definition: MacroDefinition
    let scope: Scope

    init(_ definition: MacroDefinition, scope: Scope) {
        self.definition = definition
        self.scope = scope
    }
}

/// Functions that every template sees.
enum GlobalFunction: String, CaseIterable {
    case range, namespace, dict
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}

/// A method of a value, not yet called.
final class BoundMethod {
    let receiver: Value
    let name: String

    init(_ receiver: Value, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

/// Variables of one block; unknown names are looked for in the block around it.
final class Scope {
    let parent: Scope?
    private var variables: [(symbol: Symbol, value: Value)] = []

    init(parent: Scope?) { self.parent = parent }

    func lookUp(_ symbol: Symbol) -> Value? {
        var scope: Scope? = self
        while let current = scope {
            for variable in current.variables where variable.symbol == symbol { return variable.value }
            scope = current.parent
        }
        return nil
    }

    func set(_ symbol: Symbol, _ value: Value) {
        if let place = variables.firstIndex(where: { $0.symbol == symbol }) {
            variables[place].value = value
        } else {
            variables.append((symbol, value))
        }
    }

    /// Forgets everything, which frees macros that hold this scope.
    func clear() { variables = [] }
}
