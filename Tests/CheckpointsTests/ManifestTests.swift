import Checkpoints
import Hashing
import Terms
import Testing

@Suite struct ManifestTests {
    private func problem(_ change: (inout Manifest) -> Void) throws -> String? {
        var manifest = try sampleManifest()
        change(&manifest)
        do {
            try manifest.validate()
            return nil
        } catch {
            guard case .manifest(let field, _) = error else { return "?" }
            return field
        }
    }

    @Test func `parsing gives back what was written`() throws {
        let manifest = try sampleManifest()
        let bytes = manifest.canonicalBytes

        let parsed = try Manifest.parse(bytes)

        #expect(parsed == manifest)
        #expect(parsed.canonicalBytes == bytes)
        #expect(parsed.evaluationLoss == 1.5)
        for exactness in Manifest.Exactness.allCases {
            var other = manifest
            other.exactness = exactness
            #expect(try Manifest.parse(other.canonicalBytes) == other)
        }
    }

    @Test func `the text is canonical and holds no floating-point number`() throws {
        let text = String(decoding: try sampleManifest().canonicalBytes, as: UTF8.self)

        #expect(
            text.hasPrefix("{\"accumulation\":0,\"budget\":{\"spent\":{\"tokens\":49152000}},\"coordinator_epoch\":17,")
        )
        #expect(text.contains("\"eval_loss_bits\":\"3ff8000000000000\""))
        #expect(text.contains("\"objects\":{\"bytes\":84,\"count\":6}"))
        #expect(text.contains("\"lineage\":{\"branch\":\"main\",\"restores\":[[1,5]],\"trunk\":\"0909"))
        #expect(!text.contains(" ") && !text.contains("\n"))
        #expect(JSONValue.string(text).string == text)
    }

    @Test func `only canonical bytes are accepted`() throws {
        let text = String(decoding: try sampleManifest().canonicalBytes, as: UTF8.self)
        let changes = [
            text + "\n", " " + text, text.replacing("\"job\":7", with: "\"job\": 7"),
            text.replacing("\"job\":7", with: "\"job\":7.0"), text.replacing("\"job\":7", with: "\"job\":7,\"more\":1"),
            text.replacing("\"job\":7", with: "\"job\":7,\"job\":7"),
            text.replacing("\"count\":6", with: "\"count\":7"),
            text.replacing("drover-ckpt/1", with: "drover-ckpt/2"),
            text.replacing("\"accumulation\":0", with: "\"accumulation\":1"),
            text.replacing("shop", with: "\\u0073hop"), text.replacing("\"f32\"", with: "\"f64\""),
        ]
        for change in changes {
            #expect(change != text)
            #expect(throws: CheckpointError.self, "\(change.prefix(80))") { try Manifest.parse(Array(change.utf8)) }
        }
    }

    @Test func `any cut or changed byte gives an error or another valid manifest, never a trap`() throws {
        let bytes = try sampleManifest().canonicalBytes
        for count in stride(from: 0, to: bytes.count, by: 7) {
            #expect(throws: CheckpointError.self) { try Manifest.parse(Array(bytes.prefix(count))) }
        }
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x11
            if let parsed = try? Manifest.parse(changed) { #expect(parsed.canonicalBytes == changed) }
        }
    }

    @Test func `each broken rule is named by its field`() throws {
        #expect(try problem { _ in } == nil)
        #expect(try problem { $0.run = "../x" } == "run")
        #expect(try problem { $0.run = "" } == "run")
        #expect(try problem { $0.step = -1 } == "step")
        #expect(try problem { $0.step = 1_000_000_000_000 } == "step")
        #expect(try problem { $0.coordinatorEpoch = 100_000_000 } == "coordinator_epoch")
        #expect(try problem { $0.createdUnixMilliseconds = -1 } == "created_unix_ms")
        #expect(try problem { $0.progress.tokens = -1 } == "progress")
        #expect(try problem { $0.data.sample = -1 } == "data.cursor")
        #expect(try problem { $0.lineage.branch = "a b" } == "lineage.branch")
        #expect(try problem { $0.lineage.restores = [.init(sequence: 4, step: 0)] } == "lineage.restores")
        #expect(try problem { $0.lineage.restores += $0.lineage.restores } == "lineage.restores")
        #expect(try problem { $0.rng = .null } == "rng")
        #expect(try problem { $0.budget = .members(["a": .array([.double(0.5)])]) } == "budget.a[]")
        #expect(try problem { $0.extras = .members(["a": .number(.init(text: "-0"))]) } == "extras.a")
        #expect(try problem { $0.tensors[1].role = .parameter } == "tensors[1]")
        #expect(try problem { $0.tensors[1].shape = [3, 2] } == "tensors[1]")
        #expect(try problem { $0.tensors.removeFirst() } == "tensors[0]")
        #expect(try problem { $0.tensors.reverse() } == "tensors[0]")
        #expect(try problem { $0.tensors[0].name = "/../a" } == "tensors[0].name")
        #expect(try problem { $0.tensors[5].bytes = 8 } == "tensors[5].bytes")
        #expect(try problem { $0.tensors[5].chunks = [] } == "tensors[5].chunks")
        #expect(try problem { $0.tensors[5].chunks[0].length = 3 } == "tensors[5].chunks")
        #expect(try problem { $0.tensors[5].shape = [-1] } == "tensors[5]")
    }

    @Test func `shapes that overflow are refused`() throws {
        let text = String(decoding: try sampleManifest().canonicalBytes, as: UTF8.self)
        for shape in ["[4611686018427387904,4]", "[-2,-3]", "[1,1,1,1,1,1,1,1,6]", "[99999999999999999999]"] {
            let hostile = text.replacing("\"shape\":[2,3]", with: "\"shape\":" + shape)
            #expect(throws: CheckpointError.self) { try Manifest.parse(Array(hostile.utf8)) }
        }
    }

    @Test func `the tensor list of a manifest and of its layout are the same bytes`() throws {
        let manifest = try sampleManifest()
        let layout = try RestorePlan.layout(of: manifest)
        #expect(
            manifest.tensorListBytes
                == Manifest.tensorListBytes(layout, roles: [.secondMoment, .parameter, .firstMoment]))
        #expect(
            String(decoding: manifest.tensorListBytes, as: UTF8.self).hasPrefix(
                "a.weight\0param\0f32\02,3\na.weight\0adam_m\0"))
    }

    @Test func `shared objects are counted once`() throws {
        var manifest = try sampleManifest()
        manifest.tensors[4].chunks = manifest.tensors[3].chunks
        #expect(manifest.objects.count == 5)
        #expect(manifest.storedBytes == 80 && manifest.stateBytes == 84)
        #expect(try Manifest.parse(manifest.canonicalBytes) == manifest)
    }
}

@Suite struct ManifestNameTests {
    @Test func `a name is read back and nothing else is a name`() throws {
        let name = ManifestName(step: 12_000, epoch: 17, digest: digest(0xB4))
        let text = "000000012000-00000017-b4b4b4b4b4b4b4b4.json"
        #expect(name.text == text)
        #expect(ManifestName(text) == name)
        #expect(name.names(digest(0xB4)) && !name.names(digest(0xB5)))
        for wrong in [
            "", "HEAD", text + "x", String(text.dropLast()), text.replacing("b4", with: "B4"),
            text.replacing("-", with: "_"), text.replacing("json", with: "jsoN"), "+" + text.dropFirst(),
            text.replacing("000000012000", with: "00000001200\u{0661}"),
        ] { #expect(ManifestName(wrong) == nil, "\(wrong)") }
    }

    @Test func `a higher epoch is newer whatever its step`() {
        let old = ManifestName(step: 900, epoch: 1, digest: digest(0xFF))
        let new = ManifestName(step: 5, epoch: 2, digest: digest(0))
        #expect(old < new)
    }
}
