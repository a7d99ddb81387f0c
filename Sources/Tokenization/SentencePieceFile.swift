/// A SentencePiece model file as read. Source: google/sentencepiece, `sentencepiece_model.proto`.
struct SentencePieceFile {
    static let name = "the SentencePiece file"

    enum Kind: UInt64 {
        case normal = 1
        case unknown, control, userDefined, unused, byte
    }

    struct Piece {
        var text: [UInt8] = []
        var score: Float = 0
        var kind = Kind.normal
    }

    /// The place is the id.
    var pieces: [Piece] = []
    var addsDummyPrefix = true
    var removesExtraSpaces = true
    var byteFallback = false
    var unknownID = 0
    var bosID = 1
    var eosID = 2
    var padID = -1

    /// Reads the model; what would make other ids than plain BPE is refused by name.
    init(_ bytes: [UInt8]) throws(TokenizationError) {
        var reader = ProtobufReader(bytes[...])
        // A file without the field has the default, Unigram.
        var modelType: UInt64 = 1
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let piece)): pieces.append(try Self.piece(piece))
            case (2, .bytes(let spec)): try readTrainer(spec, &modelType)
            case (3, .bytes(let spec)): try readNormalizer(spec)
            case (5, .bytes(let spec)): try Self.refuseDenormalizer(spec)
            default: break
            }
        }
        guard modelType == 2 else {
            let names: [UInt64: String] = [1: "Unigram", 3: "Word", 4: "Char"]
            throw .unsupported(file: Self.name, feature: "the model type \(names[modelType] ?? "\(modelType)")")
        }
        guard !pieces.isEmpty, pieces.count < Vocabulary.idLimit / 2, unknownID < pieces.count else {
            throw .inconsistent(
                file: Self.name, problem: "it has \(pieces.count) pieces, and the unknown one is \(unknownID)")
        }
    }

    private static func piece(_ bytes: ArraySlice<UInt8>) throws(TokenizationError) -> Piece {
        var piece = Piece()
        var reader = ProtobufReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let text)):
                guard String(validating: text, as: UTF8.self) != nil, !text.isEmpty else {
                    throw .malformed(file: name, offset: text.startIndex, problem: "a piece is empty or no UTF-8")
                }
                piece.text = Array(text)
            case (2, .number(let bits)):
                piece.score = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
                if piece.score.isNaN {
                    throw .malformed(file: name, offset: bytes.startIndex, problem: "a score is no number")
                }
            case (3, .number(let number)):
                guard let kind = Kind(rawValue: number), kind != .unused else {
                    throw .unsupported(file: name, feature: "a piece of type \(number)")
                }
                piece.kind = kind
            default: break
            }
        }
        return piece
    }

    private mutating func readTrainer(
        _ bytes: ArraySlice<UInt8>, _ modelType: inout UInt64
    ) throws(TokenizationError) {
        var reader = ProtobufReader(bytes)
        while let (field, value) = try reader.next() {
            guard case .number(let number) = value else { continue }
            let id = Int(Int32(truncatingIfNeeded: number))
            switch field {
            case 3: modelType = number
            case 24 where number != 0: throw .unsupported(file: Self.name, feature: "treat_whitespace_as_suffix")
            case 35: byteFallback = number != 0
            case 40: unknownID = max(id, 0)
            case 41: bosID = id
            case 42: eosID = id
            case 43: padID = id
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ bytes: ArraySlice<UInt8>) throws(TokenizationError) {
        var reader = ProtobufReader(bytes)
        var rule = ""
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let text)): rule = String(decoding: text, as: UTF8.self)
            case (2, .bytes(let map)) where !map.isEmpty:
                throw .unsupported(file: Self.name, feature: "the normalisation `\(rule)`")
            case (3, .number(let number)): addsDummyPrefix = number != 0
            case (4, .number(let number)): removesExtraSpaces = number != 0
            case (5, .number(0)): throw .unsupported(file: Self.name, feature: "escape_whitespaces off")
            default: break
            }
        }
    }

    private static func refuseDenormalizer(_ bytes: ArraySlice<UInt8>) throws(TokenizationError) {
        var reader = ProtobufReader(bytes)
        while let (field, value) = try reader.next() {
            if field == 2, case .bytes(let map) = value, !map.isEmpty {
                throw .unsupported(file: name, feature: "a denormaliser")
            }
        }
    }
}
