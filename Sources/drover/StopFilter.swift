/// Cuts a stream of text at the first of several stop texts, which may arrive in pieces.
struct StopFilter {
    private let stops: [[UInt8]]
    /// Text that may be the start of a stop text.
    private var pending: [UInt8] = []
    /// True once a stop text has come; nothing comes out after that.
    private(set) var isStopped = false

    /// Empty stop texts are left out.
    init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Takes more text and returns what is certain to stand before any stop text.
    mutating func push(_ text: String) -> String {
        guard !isStopped else { return "" }
        guard !stops.isEmpty else { return text }
        pending += text.utf8
        if let at = pending.indices.first(where: { place in stops.contains { pending[place...].starts(with: $0) } }) {
            isStopped = true
            return take(at)
        }
        let open = pending.indices.first { place in stops.contains { $0.starts(with: pending[place...]) } }
        return take(open ?? pending.count)
    }

    /// Ends the text: what was held back comes out.
    mutating func finish() -> String { isStopped ? "" : take(pending.count) }

    /// The first `count` bytes. Stop texts are whole characters, so that no character is cut.
    private mutating func take(_ count: Int) -> String {
        defer { pending.removeFirst(count) }
        return String(decoding: pending[..<count], as: UTF8.self)
    }
}
