internal import Kernels

/// Text generation with a key-value cache: tokens go in, the logits after the last one come out.
///
/// The same logits as a pass over all tokens at once, up to the rounding of another order of sums. One session uses its
/// decoder at a time.
package final class DecodingSession {
    /// Tokens it has room for, prompt and answer together.
    package let capacity: Int
    /// Tokens seen so far.
    package var length: Int { cache.length }
    private let decoder: Decoder
    private let cache: KeyValueCache
    private var logits: [Float]

    /// A session over `decoder` with room for `capacity` tokens.
    package init(_ decoder: Decoder, capacity: Int) {
        precondition(capacity >= 1, "a session needs room for a token")
        if let longest = decoder.configuration.longestDocument {
            precondition(capacity <= longest, "a session of \(capacity) tokens exceeds \(longest)")
        }
        self.decoder = decoder
        self.capacity = capacity
        cache = KeyValueCache(decoder.configuration, capacity: capacity)
        logits = Array(repeating: 0, count: decoder.configuration.vocabulary)
    }

    /// Appends `tokens` and returns the logits `[V]` after the last of them.
    package func append(_ tokens: [Int32]) -> [Float] {
        precondition(!tokens.isEmpty, "there is nothing to append")
        precondition(length + tokens.count <= capacity, "the session has room for \(capacity) tokens")
        let batch = MicroBatch(
            tokens: tokens, targets: Array(repeating: -1, count: tokens.count), documents: [0])
        decoder.continueDocument(batch, cache, into: &logits)
        cache.advance(by: tokens.count)
        return logits
    }

    /// Forgets all tokens from `length` on, so that a conversation can be continued from an earlier point.
    package func truncate(to length: Int) {
        precondition(length >= 0, "a length is not negative")
        cache.truncate(to: length)
    }
}

extension Decoder {
    /// Runs one more stretch of a document whose earlier tokens are in `cache`; logits of its last token.
    fileprivate func continueDocument(_ batch: MicroBatch, _ cache: KeyValueCache, into logits: inout [Float]) {
        rotaryTable?.reserve(cache.length + batch.tokens.count)
        let positions = batch.positions.map { $0 + Int32(cache.length) }
        let memory = activations(rows: batch.tokens.count, trains: false)
        positions.withUnsafeBufferPointer { positions in
            guard let address = positions.baseAddress else { return }
            var pass = Pass(
                rows: batch.tokens.count, documents: batch.documents, positions: address, memory: memory)
            pass.cache = cache
            forward(batch.tokens, pass, keeps: false)
            finish(pass, keeps: false)
            logits.withUnsafeMutableBufferPointer { logits in
                guard let address = logits.baseAddress else { return }
                headRows(pass, batch.tokens.count - 1..<batch.tokens.count, into: address)
            }
        }
    }
}
