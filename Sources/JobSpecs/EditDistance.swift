/// Finds the known word that an unknown one was probably meant to be.
enum EditDistance {
    /// Longer words are not compared.
    private static let lengthLimit = 64

    /// The first of `known` with the least distance to `word`, when that is small against the word's length.
    static func nearest(to word: String, among known: [String]) -> String? {
        let letters = normal(word)
        guard letters.count <= lengthLimit else { return nil }
        let limit = max(1, letters.count / 3)
        var best: (word: String, distance: Int)?
        for candidate in known {
            let distance = between(letters, normal(candidate))
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.word
    }

    /// Capitals and dashes are the commonest slips; they cost nothing.
    private static func normal(_ word: String) -> [UInt8] {
        word.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    }

    /// Insertions, deletions, substitutions and swaps of neighbours that lead from one word to the other
    /// (optimal string alignment).
    static func between(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var older = [Int](repeating: 0, count: right.count + 1)
        var previous = Array(0...right.count)
        for i in 0..<left.count {
            var current = [i + 1]
            current.reserveCapacity(right.count + 1)
            for j in 0..<right.count {
                let cost = left[i] == right[j] ? 0 : 1
                var distance = min(previous[j + 1] + 1, current[j] + 1, previous[j] + cost)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    distance = min(distance, older[j - 1] + 1)
                }
                current.append(distance)
            }
            (older, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
