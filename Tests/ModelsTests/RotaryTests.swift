import Kernels
import Models
import Testing

/// Expected values: transformers 5.23, `ROPE_INIT_FUNCTIONS` in fp32.
@Suite struct RotaryTests {
    private func check(_ rotary: Rotary, _ expected: [Float], factor: Float = 1) {
        #expect(abs(rotary.attentionFactor - factor) <= 1.2e-7 * factor)
        let found = rotary.inverseFrequencies
        #expect(found.count == expected.count)
        // A power in fp32 may be off by a unit in the last place on either side.
        for (left, right) in zip(found, expected) { #expect(abs(left - right) <= 3e-7 * right, "\(left) vs \(right)") }
    }

    @Test func `linear scaling divides every frequency`() {
        check(
            Rotary(layout: .half, width: 16, theta: 10_000, scaling: .linear(factor: 4)),
            [0.25, 0.07905694, 0.025, 0.0079056947, 0.0025, 0.00079056947, 0.00025, 7.905694e-05])
    }

    @Test func `llama3 scaling is piecewise by wavelength`() {
        check(
            Rotary(
                layout: .half, width: 16, theta: 500_000,
                scaling: .llama3(factor: 8, low: 1, high: 4, trainedLength: 64)),
            [
                1, 0.079403013, 0.0047007538, 0.00091158313, 0.00017677668, 3.4281024e-05, 6.6478697e-06, 1.2891732e-06,
            ])
    }

    @Test func `YaRN ramps between two dimensions and raises the attention factor`() {
        check(
            Rotary(
                layout: .half, width: 16, theta: 10_000,
                scaling: .yarn(.init(factor: 4, trainedLength: 64, attentionFactor: 1.138629436111989))),
            [1, 0.23717082, 0.05, 0.0079056947, 0.0025, 0.00079056947, 0.00025, 7.905694e-05], factor: 1.1386294)
        var yarn = RotaryScaling.Yarn(factor: 40, trainedLength: 4096, attentionFactor: 1)
        (yarn.fast, yarn.slow, yarn.truncates) = (16, 2, false)
        check(
            Rotary(layout: .half, width: 16, theta: 1e6, scaling: .yarn(yarn)),
            [
                1, 0.17782794, 0.031622779, 0.0017382191, 2.5e-05, 4.4456983e-06, 7.905694e-07, 1.4058533e-07,
            ])
    }

    @Test func `a fixed alpha stretches the base`() {
        check(
            Rotary(layout: .half, width: 16, theta: 10_000, scaling: .ntkAlpha(1000)),
            [
                1, 0.117876865, 0.013894955, 0.0016378937, 0.00019306978, 2.2758459e-05, 2.6826958e-06, 3.1622776e-07,
            ])
    }

    @Test func `the settings of YaRN are read with their fall-backs`() throws {
        let plain = try TinyModel.configuration(
            "qwen2", #""rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":16}"#)
        guard case .yarn(let yarn)? = plain.rotary?.scaling else {
            Issue.record("YaRN is read")
            return
        }
        #expect(yarn.factor == 4 && yarn.trainedLength == 16 && yarn.fast == 32 && yarn.slow == 1 && yarn.truncates)
        #expect(abs(yarn.attentionFactor - 1.138629436111989) < 1e-12)
        let ratio = try TinyModel.configuration(
            "llama",
            #"""
            "rope_scaling":{"rope_type":"yarn","original_max_position_embeddings":16,"mscale":1.0,
            "mscale_all_dim":0.707}
            """#)
        guard case .yarn(let inferred)? = ratio.rotary?.scaling else {
            Issue.record("YaRN is read")
            return
        }
        #expect(inferred.factor == 4)
        #expect(abs(inferred.attentionFactor - 1.138629436111989 / (0.1 * 0.707 * 1.3862943611198906 + 1)) < 1e-12)
    }
}
