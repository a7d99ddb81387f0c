/// Walks the statements of one template once.
///
/// Every step, every byte built and every level of nesting is counted against `RenderLimits`.
final class Interpreter {
    /// Names by symbol.
    let names: [String]
    let limits: RenderLimits
    let date: CalendarDate
    /// nil = all texts are known.
    let openTexts: OpenTextLog?
    /// The line that is evaluated now, for errors.
    var line = 1
    private var steps = 0
    private var bytes = 0
    private var depth = 0
    /// Texts being written: the output, then captures inside it.
    private var outputs = [MarkedText()]
    private var generationRanges: [Range<Int>] = []
    /// What blocks inside macros, captures and filters wrote, by the number of their range.
    private var inner: [(number: Int, text: MarkedText)] = []
    /// Things that may hold each other; emptied at the end so that they are freed.
    private var macroScopes: [Scope] = []
    private var namespaces: [Namespace] = []

    init(names: [String], limits: RenderLimits, date: CalendarDate, openTexts: OpenTextLog? = nil) {
        self.names = names
        self.limits = limits
        self.date = date
        self.openTexts = openTexts
    }

    /// The rendering of `body` with the variables of `scope`.
    func run(_ body: [Statement], _ scope: Scope) throws(TemplateError) -> Rendering {
        defer {
            for scope in macroScopes { scope.clear() }
            for namespace in namespaces { namespace.members = [] }
        }
        _ = try execute(body, scope)
        try checkOpenTexts()
        let text = outputs[0]
        let isPlaced = inner.allSatisfy { number, written in
            let range = generationRanges[number]
            return range.upperBound <= text.count && text.utf8[range].elementsEqual(written.utf8)
        }
        return Rendering(text: text, generationRanges: generationRanges, hasMisplacedRanges: !isPlaced)
    }

    /// Refuses a rendering that doesn't hold for all texts in the place of the open ones, limits included.
    ///
    /// What is built with them is at most their length for each 16 bytes that were built without.
    private func checkOpenTexts() throws(TemplateError) {
        guard let openTexts else { return }
        guard !openTexts.wasRead else { throw failure("an open text was read") }
        guard bytes <= limits.bytes / (1 + OpenTexts.bytesLimit / OpenTexts.width) else {
            throw .tooLong(limit: limits.bytes)
        }
    }

    // MARK: Limits and errors

    func failure(_ problem: String) -> TemplateError { .evaluation(line: line, problem: problem) }

    func tick() throws(TemplateError) {
        steps += 1
        guard steps <= limits.steps else { throw .tooManySteps(limit: limits.steps) }
    }

    /// Counts a text or list of `count` bytes that is about to be built.
    func charge(_ count: Int) throws(TemplateError) {
        let (sum, overflow) = bytes.addingReportingOverflow(count)
        guard !overflow, sum <= limits.bytes else { throw .tooLong(limit: limits.bytes) }
        bytes = sum
    }

    /// Counts one level of nesting while `body` runs.
    func nested<Result>(_ body: () throws(TemplateError) -> Result) throws(TemplateError) -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.depth else { throw .tooDeep(limit: limits.depth) }
        return try body()
    }

    /// A container that was just built, when it isn't nested too deeply.
    func bounded(_ value: Value) throws(TemplateError) -> Value {
        guard value.depth <= limits.depth else { throw .tooDeep(limit: limits.depth) }
        return value
    }

    /// A list that was just built.
    func list(_ elements: [Value]) throws(TemplateError) -> Value {
        try charge(elements.count * MemoryLayout<Value>.size)
        return try bounded(.list(elements))
    }

    /// A text that was just built.
    func text(_ text: MarkedText) throws(TemplateError) -> Value {
        try charge(text.count)
        return .text(text)
    }

    // MARK: Output

    func write(_ text: MarkedText) throws(TemplateError) {
        try charge(text.count)
        outputs[outputs.count - 1].append(text)
    }

    /// What `body` writes, kept out of the output.
    func captured(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> MarkedText {
        outputs.append(MarkedText())
        do {
            try body()
        } catch {
            outputs.removeLast()
            throw error
        }
        return outputs.removeLast()
    }

    /// Runs `body`, writes what it wrote, and notes the range as transformers does: from the end of the output itself,
    /// though a block inside a macro may come to stand elsewhere; of nested ones the inner first.
    func generating(_ body: () throws(TemplateError) -> Void) throws(TemplateError) {
        let isInner = outputs.count > 1
        let text = try captured(body)
        let start = outputs[0].count
        generationRanges.append(start..<start + text.count)
        if isInner { inner.append((generationRanges.count - 1, text)) }
        try write(text)
    }

    func remember(macroIn scope: Scope) { macroScopes.append(scope) }

    /// A new namespace; there is a limit, so that a chain of them can be freed.
    func makeNamespace() throws(TemplateError) -> Namespace {
        try charge(1024)
        let namespace = Namespace()
        namespaces.append(namespace)
        return namespace
    }
}
