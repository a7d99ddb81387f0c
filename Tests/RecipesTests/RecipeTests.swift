import Recipes
import Terms
import Testing

@Suite struct RecipeTests {
    static let sample = Recipe(
        step: 12, shards: [[[1, 2], [3]], [], [[4_000_000_000]]], trainedTokens: 77, inputTokens: 99, firstSequence: 44,
        learningRate: 2e-4, biasCorrection1: 0.1, biasCorrection2: 0.001)

    @Test func `a recipe and its bytes are one`() throws {
        #expect(try Recipe(decoding: Self.sample.encoded()) == Self.sample)
        #expect(try Recipe(decoding: Self.sample.encoded()).encoded() == Self.sample.encoded())
        #expect(Self.sample.sequenceCount == 4)
    }

    @Test func `reals travel as bit patterns`() throws {
        var recipe = Self.sample
        recipe.learningRate = .leastNonzeroMagnitude
        recipe.biasCorrection1 = -0.0

        let back = try Recipe(decoding: recipe.encoded())

        #expect(back.learningRate.bitPattern == recipe.learningRate.bitPattern)
        #expect(back.biasCorrection1.bitPattern == recipe.biasCorrection1.bitPattern)
    }

    @Test func `any difference gives other bytes`() {
        var others: [Recipe] = []
        for change: (inout Recipe) -> Void in [
            { $0.step += 1 }, { $0.shards[0][0][0] = 9 }, { $0.shards.append([]) }, { $0.trainedTokens += 1 },
            { $0.inputTokens += 1 }, { $0.firstSequence += 1 }, { $0.learningRate = 3e-4 },
            { $0.biasCorrection1 = 0.2 },
            { $0.biasCorrection2 = 0.2 }, { $0.shards[0] = [[1], [2], [3]] },
        ] {
            var other = Self.sample
            change(&other)
            others.append(other)
        }

        #expect(Set(others.map { $0.encoded() } + [Self.sample.encoded()]).count == others.count + 1)
    }

    @Test func `a cut recipe is an error at every length`() {
        let bytes = Self.sample.encoded()
        for count in 0..<bytes.count {
            #expect(throws: ByteError.self) { try Recipe(decoding: Array(bytes[..<count])) }
        }
        #expect(throws: ByteError.trailing) { try Recipe(decoding: bytes + [0]) }
    }

    @Test func `a changed byte gives another recipe or an error`() {
        let bytes = Self.sample.encoded()
        for index in bytes.indices {
            for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF] where bytes[index] != value {
                var changed = bytes
                changed[index] = value
                if let recipe = try? Recipe(decoding: changed) { #expect(recipe.encoded() == changed) }
            }
        }
    }

    @Test func `any bytes give a recipe or an error`() {
        let random = Philox(seed: 1, purpose: .probe)
        for trial in 0..<3000 {
            let count = Int(random.below(120, UInt64(trial) << 20))
            var bytes = (0..<count).map { UInt8(truncatingIfNeeded: random.bits(UInt64(trial) << 20 | UInt64($0 + 1))) }
            if trial % 2 == 0 { bytes.replaceSubrange(0..<min(2, bytes.count), with: [1, 0].prefix(bytes.count)) }
            if let recipe = try? Recipe(decoding: bytes) { #expect(recipe.encoded() == bytes) }
        }
    }

    @Test func `a list longer than its bytes is refused before anything is made`() {
        var bytes = Array(Self.sample.encoded()[..<58])
        bytes += [0xFF, 0xFF, 0x0F, 0x00]

        #expect(throws: ByteError.truncated) { try Recipe(decoding: bytes) }
        #expect(throws: ByteError.tooLong) { try Recipe(decoding: bytes.dropLast(4) + [0xFF, 0xFF, 0xFF, 0xFF]) }
    }
}
