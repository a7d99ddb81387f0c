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
        let ids = scratch.ids
        ids.truncate(to: 0)
        var text = text
        text.withUTF8 { utf8 in
            append(utf8, addSpecialTokens: addSpecialTokens, matchSpecials: matchSpecials, scratch, to: ids)
        }
        return Array(ids.ids)
    }

    /// Appends the ids of a text, which is valid UTF-8: as `encode`, without memory of its own.
    package func append(
        _ utf8: UnsafeBufferPointer<UInt8>, addSpecialTokens: Bool = false, matchSpecials: Bool = true,
        to ids: TokenBuffer
    ) {
        storage.pool.withScratch { scratch in
            append(utf8, addSpecialTokens: addSpecialTokens, matchSpecials: matchSpecials, scratch, to: ids)
        }
    }

    private func append(
        _ utf8: UnsafeBufferPointer<UInt8>, addSpecialTokens: Bool, matchSpecials: Bool,
        _ scratch: ScratchPool.Scratch, to ids: TokenBuffer
    ) {
        if addSpecialTokens { ids.append(storage.postProcessor.prefix) }
        if let base = utf8.baseAddress, !utf8.isEmpty {
            storage.append(UTF8Text(base, count: utf8.count), matchSpecials: matchSpecials, scratch, to: ids)
        }
        if addSpecialTokens { ids.append(storage.postProcessor.suffix) }
    }
}

extension Tokenizer.Storage {
    /// Cuts a text at the added tokens, before and after normalisation, and encodes what lies between.
    fileprivate func append(
        _ text: UTF8Text, matchSpecials: Bool, _ scratch: ScratchPool.Scratch, to ids: TokenBuffer
    ) {
        let guarded = !matchSpecials && !model.forbidden.isEmpty
        let words = guarded ? scratch.guardedWords : scratch.words
        rawTokens.forEachStretch(text, matchSpecials: matchSpecials) { range, token in
            if let token { return ids.append(token) }
            normalizer.withNormalized(text.slice(range)) { normalized in
                normalizedTokens.forEachStretch(normalized, matchSpecials: matchSpecials) { inner, token in
                    if let token { return ids.append(token) }
                    let startsInput = range.lowerBound == 0 && inner.lowerBound == 0
                    preTokenizer.forEachWord(normalized.slice(inner), startsInput: startsInput) { word in
                        append(word, guarded: guarded, words, scratch.merging, to: ids)
                    }
                }
            }
        }
    }

    @inline(__always)
    private func append(
        _ word: UnsafeBufferPointer<UInt8>, guarded: Bool, _ words: WordCache, _ merging: MergeScratch,
        to ids: TokenBuffer
    ) {
        let key = WordCache.key(word.baseAddress!, count: word.count)
        if let key, words.append(key, to: ids) { return }
        let start = ids.count
        if guarded {
            model.encodeWithoutForbidden(word, merging, to: ids)
        } else {
            model.encode(word, merging, to: ids)
        }
        if let key { words.insert(key, ids.ids[start...]) }
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
