import Datasets
import Tokenization

/// A tokenizer for tests: one token a Unicode scalar (its value), and a few added tokens from 0x110000 on.
struct LetterEncoder: TextEncoder {
    static let base: Int32 = 0x11_0000
    var addedTokens: [AddedToken]
    var endOfText: Int32?

    init(_ texts: [String] = ["<|im_start|>", "<|im_end|>", "<|eos|>"]) {
        addedTokens = texts.enumerated().map { index, text in
            AddedToken(content: text, id: Self.base + Int32(index), isSpecial: true)
        }
        endOfText = addedTokens.first { $0.content == "<|eos|>" }?.id
    }

    var vocabularyCount: Int { Int(Self.base) + addedTokens.count }

    func piece(_ text: String, after place: PiecePlace) -> [Int32] { text.unicodeScalars.map { Int32($0.value) } }
    func document(_ text: String) -> [Int32] { piece(text, after: .start) }
    func text(of ids: [Int32]) -> String {
        var text = ""
        for id in ids {
            if let token = addedTokens.first(where: { $0.id == id }) {
                text += token.content
            } else if let scalar = Unicode.Scalar(UInt32(id)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    func id(_ text: String) -> Int32 { addedTokens.first { $0.content == text }!.id }
}
