import ModelFiles
import Models
import Terms
import Testing

/// Forward passes agree with transformers.
@Suite struct LogitsTests {
    @Test(arguments: Fixture.families) func `logits are those of transformers`(family: String) throws {
        let fixture = try Fixture(family)
        let reader = try Reader(fixture.model)

        for (index, document) in try fixture.documents().enumerated() {
            #expect(difference(reader.logits(document), try fixture.values("logits.\(index)")) <= 1e-4)
        }
    }

    @Test(arguments: Fixture.families) func `packed documents do not see each other`(family: String) throws {
        let fixture = try Fixture(family)
        let reader = try Reader(fixture.model)
        let documents = try fixture.documents()
        let pair = documents.map { (ids: $0.tokens, labels: [Int32](repeating: -100, count: $0.tokens.count)) }

        let packed = reader.logits(MicroBatch(documents: pair))

        #expect(difference(packed, try fixture.values("logits.0") + fixture.values("logits.1")) <= 1e-4)
    }

    @Test(arguments: Fixture.oldDialects)
    func `the older dialect of config.json means the same`(family: String) throws {
        let fixture = try Fixture(family)
        let old = try ModelDirectory.readConfiguration(fixture.path + "/config.old.json")
        let document = try fixture.documents()[0]

        let logits = try Reader(fixture.model, configuration: old).logits(document)

        #expect(logits == (try Reader(fixture.model).logits(document)))
        #expect(difference(logits, try fixture.values("logits.0")) <= 1e-4)
    }

    @Test(arguments: Fixture.families) func `the loss is that of PyTorch`(family: String) throws {
        let fixture = try Fixture(family)
        let batch = MicroBatch(documents: try fixture.batch())
        let reader = try Reader(fixture.model)

        let loss = reader.loss(batch) / Double(batch.trainedTokens)

        let expected = try #require(fixture.expected["loss"]?.double)
        #expect(batch.trainedTokens == fixture.expected["trained"]?.int)
        #expect(abs(loss - expected) <= 1e-5 * expected)
    }

    @Test(arguments: Fixture.families)
    func `greedy generation gives the tokens of transformers`(family: String) throws {
        let fixture = try Fixture(family)
        let greedy = try #require(fixture.expected["greedy"])
        let prompt = try #require(greedy["prompt"]?.array).map { Int32(try #require($0.int)) }
        let expected = try #require(greedy["tokens"]?.array).map { Int32(try #require($0.int)) }
        let reader = try Reader(fixture.model)
        let session = DecodingSession(reader.decoder, capacity: prompt.count + expected.count)
        var tokens: [Int32] = []
        var logits = session.append(prompt)

        while tokens.count < expected.count {
            let best = logits.indices.max { logits[$0] < logits[$1] }
            tokens.append(Int32(try #require(best)))
            if tokens.count < expected.count { logits = session.append([tokens[tokens.count - 1]]) }
        }

        withExtendedLifetime(reader) {}
        #expect(tokens == expected)
    }
}
