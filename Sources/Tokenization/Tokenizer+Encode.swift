extension Tokenizer {
    /// The ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecialTokens: puts the ids around it that the tokenizer's post-processor asks for.
    ///   - matchSpecials: when false, control tokens (`AddedToken.isControl`) in the text are plain text, and none of
    ///     their ids comes out by any way: no data row can forge a turn.
    package func encode(_ text: String, addSpecialTokens: Bool = false, matchSpecials: Bool = true) -> [Int32] {
        storage.pool.withScratch { scratch in
            encode(text, addSpecialTokens: addSpecialTokens, matchSpecials: matchSpecials, scratch)
        }
    }

    /// The ids of many texts, in their order.
    ///
    /// - Parameter concurrently: runs a body for each of 0..<count, in any order and on any threads, and returns when
    ///   all are done; by default one after the other.
    package func encodeBatch(
        _ texts: [String], addSpecialTokens: Bool = false, matchSpecials: Bool = true,
        concurrently: (_ count: Int, _ body: @Sendable (Int) -> Void) -> Void = { (0..<$0).forEach($1) }
    ) -> [[Int32]] {
        // Small chunks even out texts of different length; each borrows one scratch.
        let chunk = 16
        let results = ResultSlots(count: texts.count)
        concurrently((texts.count + chunk - 1) / chunk) { index in
            storage.pool.withScratch { scratch in
                for text in index * chunk..<min((index + 1) * chunk, texts.count) {
                    results.set(
                        text,
                        encode(
                            texts[text], addSpecialTokens: addSpecialTokens, matchSpecials: matchSpecials, scratch))
                }
            }
        }
        return results.take()
    }

    private func encode(
        _ text: String, addSpecialTokens: Bool, matchSpecials: Bool, _ scratch: ScratchPool.Scratch
    ) -> [Int32] {
        var ids: [Int32] = []
        var text = text
        text.withUTF8 { utf8 in
            // Three to four bytes a token is usual; the array grows when a text has more.
            ids.reserveCapacity(utf8.count / 3 + 8)
            if addSpecialTokens { ids += storage.postProcessor.prefix }
            if let base = utf8.baseAddress, !utf8.isEmpty {
                storage.append(UTF8Text(base, count: utf8.count), matchSpecials: matchSpecials, scratch, to: &ids)
            }
            if addSpecialTokens { ids += storage.postProcessor.suffix }
        }
        return ids
    }
}

extension Tokenizer.Storage {
    /// Cuts a text at the added tokens, before and after normalisation, and encodes what lies between.
    fileprivate func append(
        _ text: UTF8Text, matchSpecials: Bool, _ scratch: ScratchPool.Scratch, to ids: inout [Int32]
    ) {
        let guarded = !matchSpecials && !model.forbidden.isEmpty
        rawTokens.forEachStretch(text, matchSpecials: matchSpecials) { range, token in
            if let token { return ids.append(token) }
            normalizer.withNormalized(text.slice(range)) { normalized in
                normalizedTokens.forEachStretch(normalized, matchSpecials: matchSpecials) { inner, token in
                    if let token { return ids.append(token) }
                    let startsInput = range.lowerBound == 0 && inner.lowerBound == 0
                    preTokenizer.forEachWord(normalized.slice(inner), startsInput: startsInput) { word in
                        if guarded {
                            model.encodeWithoutForbidden(word, scratch.merging, to: &ids)
                        } else {
                            append(word, scratch, to: &ids)
                        }
                    }
                }
            }
        }
    }

    @inline(__always)
    private func append(_ word: UnsafeBufferPointer<UInt8>, _ scratch: ScratchPool.Scratch, to ids: inout [Int32]) {
        guard let key = WordCache.key(word.baseAddress!, count: word.count) else {
            return model.encode(word, scratch.merging, to: &ids)
        }
        if scratch.words.append(key, to: &ids) { return }
        let start = ids.count
        model.encode(word, scratch.merging, to: &ids)
        scratch.words.insert(key, ids[start...])
    }
}

/// A place for each result of a batch; every place is written by exactly one thread before `take`.
private final class ResultSlots: @unchecked Sendable {
    private let slots: UnsafeMutableBufferPointer<[Int32]>

    init(count: Int) {
        slots = .allocate(capacity: count)
        slots.initialize(repeating: [])
    }

    deinit {
        slots.deinitialize()
        slots.deallocate()
    }

    func set(_ index: Int, _ ids: [Int32]) { slots[index] = ids }
    func take() -> [[Int32]] { Array(slots) }
}
