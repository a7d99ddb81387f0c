import Models
import Testing

@Suite struct ActivationTests {
    @Test func `memory grows with the rows, and shrinks with recomputing and with untrained lower blocks`() throws {
        let configuration = try TinyModel.configuration("qwen3", #""num_hidden_layers":6"#)
        func bytes(_ rows: Int, _ targets: AdapterSpecification.Targets?, _ recomputes: Bool = false) throws -> Int {
            let adapter = try targets.map {
                try AdapterSpecification(rank: 2, alpha: 2, targets: $0).modules(of: configuration)
            }
            return configuration.activationBytes(rows: rows, adapter: adapter, recomputes: recomputes)
        }
        let full = try bytes(64, nil)
        #expect(try bytes(128, nil) == 2 * full)
        #expect(try bytes(64, nil, true) < full / 2)
        #expect(try bytes(64, .all) > full)
        #expect(try bytes(64, .names(["model.layers.5.mlp.up_proj"])) < full / 2)
        // One block of six keeps at least its queries, keys, values, gate and up: 2·32 + 2·16 + 2·20 floats a token.
        #expect(full > 6 * 64 * (64 + 32 + 40) * 4)
    }
}
