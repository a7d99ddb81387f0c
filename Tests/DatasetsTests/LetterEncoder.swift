import Datasets

/// A tokenizer for tests: one token a Unicode scalar (its value), and a few added tokens from 0x110000 on.
struct LetterEncoder: TextEncoder {
    static let base: Int32 = 0x11_0000
    var addedTokens: [AddedToken]
    var endOfText: Int32?

    init(_ texts: [String] = ["<|im_start|>", "<|im_end|>", "<|eos|>"], words: [String] = []) {
        addedTokens = (texts + words).enumerated().map { index, text in
            AddedToken(id: Self.base + Int32(index), text: text, isSpecial: index < texts.count)
        }
        endOfText = addedTokens.first { $0.text == "<|eos|>" }?.id
    }

    var vocabularyCount: Int { Int(Self.base) + addedTokens.count }

    func piece(_ text: String) -> [Int32] { text.unicodeScalars.map { Int32($0.value) } }
    func document(_ text: String) -> [Int32] { piece(text) }
    func text(of ids: [Int32]) -> String {
        var text = ""
        for id in ids {
            if let token = addedTokens.first(where: { $0.id == id }) {
                text += token.text
            } else if let scalar = Unicode.Scalar(UInt32(id)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    func id(_ text: String) -> Int32 { addedTokens.first { $0.text == text }!.id }
}
