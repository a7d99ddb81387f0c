package import Tokenization

/// What sample making needs of a tokenizer.
package protocol TextEncoder: Sendable {
    /// The token that ends a document; nil when the vocabulary has none.
    var endOfText: Int32? { get }
    /// Texts that stand for one token each, control tokens among them.
    var addedTokens: [AddedToken] { get }
    /// Tokens of a whole document, with the tokens that the tokenizer puts in front of one (bos, say), but no closing
    /// end of text; control tokens inside are ordinary text.
    func document(_ text: String) -> [Int32]
    /// Tokens of a piece of a text; control tokens inside are ordinary text.
    func piece(_ text: String, after place: PiecePlace) -> [Int32]
    /// Readable text of tokens, special ones included.
    func text(of ids: [Int32]) -> String
    /// Appends the tokens of `document` for text as valid UTF-8.
    func append(document utf8: UnsafeBufferPointer<UInt8>, to ids: TokenBuffer)
    /// Appends the tokens of `piece` for text as valid UTF-8.
    func append(piece utf8: UnsafeBufferPointer<UInt8>, after place: PiecePlace, to ids: TokenBuffer)
}

extension TextEncoder {
    package func append(document utf8: UnsafeBufferPointer<UInt8>, to ids: TokenBuffer) {
        ids.append(document(String(decoding: utf8, as: UTF8.self)))
    }

    package func append(piece utf8: UnsafeBufferPointer<UInt8>, after place: PiecePlace, to ids: TokenBuffer) {
        ids.append(piece(String(decoding: utf8, as: UTF8.self), after: place))
    }
}

/// What stands before a piece of text; some tokenizers put a space in front of some pieces.
package enum PiecePlace: Sendable, Equatable {
    /// Nothing: the text starts here.
    case start
    /// A control token.
    case control
    /// More text.
    case text
}

/// A Hugging Face tokenizer as sample making sees it.
package struct TokenizerEncoder: TextEncoder {
    private let tokenizer: Tokenizer
    /// Whether a text's start gets a prefix (SentencePiece's dummy space), and whether a piece behind a control token
    /// does.
    private let prefixesStart: Bool
    private let prefixesAfterControl: Bool
    /// What the line feed before a guarded piece becomes.
    private let guardIDs: [Int32]

    /// Finds out by trial where the tokenizer puts prefixes.
    package init(_ tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        guardIDs = tokenizer.encode("\n")
        let plain = tokenizer.encode("a")
        prefixesStart = tokenizer.encode("\na") != guardIDs + plain
        let control = tokenizer.addedTokens.first { $0.isControl && !$0.isNormalized && !$0.stripsRight }
        let behind = control.map { tokenizer.encode($0.content + "a").dropFirst() }
        prefixesAfterControl = behind?.elementsEqual(plain) ?? false
    }

    package var endOfText: Int32? { tokenizer.eosID }
    package var addedTokens: [AddedToken] { tokenizer.addedTokens }

    package func document(_ text: String) -> [Int32] {
        var ids = tokenizer.encode(text, addSpecialTokens: true, matchSpecials: false)
        if let end = tokenizer.eosID, ids.last == end { ids.removeLast() }
        return ids
    }

    package func piece(_ text: String, after place: PiecePlace) -> [Int32] {
        guard prefixesStart, place != .start, !(place == .control && prefixesAfterControl) else {
            return tokenizer.encode(text, matchSpecials: false)
        }
        // Behind a line feed the text is no start, so it gets no prefix.
        let ids = tokenizer.encode("\n" + text, matchSpecials: false)
        return ids.starts(with: guardIDs)
            ? Array(ids.dropFirst(guardIDs.count))
            : tokenizer.encode(text, matchSpecials: false)
    }

    package func append(document utf8: UnsafeBufferPointer<UInt8>, to ids: TokenBuffer) {
        let start = ids.count
        tokenizer.append(utf8, addSpecialTokens: true, matchSpecials: false, to: ids)
        if let end = tokenizer.eosID, ids.count > start, ids.last == end { ids.truncate(to: ids.count - 1) }
    }

    package func append(piece utf8: UnsafeBufferPointer<UInt8>, after place: PiecePlace, to ids: TokenBuffer) {
        guard prefixesStart, place != .start, !(place == .control && prefixesAfterControl) else {
            return tokenizer.append(utf8, matchSpecials: false, to: ids)
        }
        let start = ids.count
        ([0x0A] + utf8).withUnsafeBufferPointer { tokenizer.append($0, matchSpecials: false, to: ids) }
        if ids.ids[start...].starts(with: guardIDs) {
            ids.remove(start..<start + guardIDs.count)
        } else {
            ids.truncate(to: start)
            tokenizer.append(utf8, matchSpecials: false, to: ids)
        }
    }

    package func text(of ids: [Int32]) -> String { tokenizer.decode(ids) }
}
