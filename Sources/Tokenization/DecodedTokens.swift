extension Vocabulary {
    /// What each id means on its own, in one arena: raw bytes for byte-level vocabularies, else text.
    struct DecodedTokens: Sendable {
        private var arena: [UInt8] = []
        /// Ends in the arena, one an id.
        private var ends: [Int] = []
        private var exists: [Bool] = []
        private var isSpecial: [Bool] = []

        /// - Parameters:
        ///   - spellings: added tokens by id, which hide the vocabulary's.
        ///   - special: contents that `skipSpecialTokens` leaves out.
        init(
            _ vocabulary: Vocabulary, idBound: Int, spellings: [Int32: [UInt8]], special: Set<[UInt8]>,
            decoder: TokenDecoder
        ) {
            ends.reserveCapacity(idBound)
            for id in 0..<Int32(idBound) {
                let token = spellings[id] ?? vocabulary.token(id).map(Array.init)
                exists.append(token != nil)
                isSpecial.append(token.map(special.contains) ?? false)
                if let token { arena.append(contentsOf: Self.decode(token, decoder)) }
                ends.append(arena.count)
            }
        }

        private static func decode(_ token: [UInt8], _ decoder: TokenDecoder) -> [UInt8] {
            switch decoder {
            case .byteLevel: ByteLevelAlphabet.decode(token) ?? token
            case .characters(let decoding): decoding.replaced(token)
            case .metaspace, .joinedBySpaces: token
            }
        }

        func bytes(_ id: Int32, skipSpecialTokens: Bool) -> ArraySlice<UInt8>? {
            guard id >= 0, Int(id) < ends.count, exists[Int(id)], !(skipSpecialTokens && isSpecial[Int(id)]) else {
                return nil
            }
            return arena[(id == 0 ? 0 : ends[Int(id) - 1])..<ends[Int(id)]]
        }
    }
}
