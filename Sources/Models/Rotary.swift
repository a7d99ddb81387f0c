package import Kernels

/// The rotation of queries and keys by position, as a configuration describes it.
package struct Rotary: Sendable, Equatable {
    /// Which dimensions turn together.
    package var layout: RotaryLayout
    /// How many leading dimensions of a head are rotated; even, at most the head's width.
    package var width: Int
    /// The base θ of the frequencies, > 1.
    package var theta: Double
    /// How the frequencies are stretched.
    package var scaling: RotaryScaling

    /// A rotation of the first `width` dimensions of each head.
    package init(layout: RotaryLayout, width: Int, theta: Double, scaling: RotaryScaling) {
        (self.layout, self.width, self.theta, self.scaling) = (layout, width, theta, scaling)
    }
}

/// How the frequencies are changed to reach beyond the length a model was first trained on.
package enum RotaryScaling: Sendable, Equatable {
    case none
    /// All frequencies divided by `factor`.
    case linear(factor: Double)
    /// As `none` up to the trained length; longer documents are refused.
    case dynamic
    /// The base stretched once: `θ·alpha^(d/(d−2))`.
    case ntkAlpha(Double)
    /// By wavelength: short ones stay, long ones are divided by `factor`, between them a ramp.
    case llama3(factor: Double, low: Double, high: Double, trainedLength: Double)
    case yarn(Yarn)

    /// YaRN's settings (Peng et al. 2023, arXiv:2309.00071, §3).
    package struct Yarn: Sendable, Equatable {
        /// How much longer than the trained length, > 0.
        package var factor: Double
        /// Rotations over the trained length above which a frequency stays.
        package var fast = 32.0
        /// Rotations below which a frequency is divided by `factor`.
        package var slow = 1.0
        /// Positions the model was first trained on.
        package var trainedLength: Double
        /// What cosine and sine are multiplied by.
        package var attentionFactor: Double
        /// Whether the ramp's bounds are rounded to whole dimensions.
        package var truncates = true

        /// The paper's bounds unless changed.
        package init(factor: Double, trainedLength: Double, attentionFactor: Double) {
            (self.factor, self.trainedLength, self.attentionFactor) = (factor, trainedLength, attentionFactor)
        }
    }
}

extension Rotary {
    /// Inverse frequencies `[width/2]` in fp32, rounded after each operation as the reference implementation does.
    package var inverseFrequencies: [Float] {
        switch scaling {
        case .none, .dynamic: return Self.frequencies(theta, width)
        case .linear(let factor): return Self.frequencies(theta, width).map { $0 / Float(factor) }
        case .ntkAlpha(let alpha):
            let exponent = Double(width) / Double(width - 2)
            return Self.frequencies(theta * Elementary.power(alpha, exponent), width)
        case .llama3(let factor, let low, let high, let length):
            return Self.frequencies(theta, width).map { frequency in
                Self.llama3(frequency, factor: Float(factor), low: Float(low), high: Float(high), length: Float(length))
            }
        case .yarn(let yarn): return yarnFrequencies(yarn)
        }
    }

    /// What cosine and sine are multiplied by; 1 but for YaRN.
    package var attentionFactor: Float {
        if case .yarn(let yarn) = scaling { Float(yarn.attentionFactor) } else { 1 }
    }

    /// `1 / θ^(2i/width)`.
    private static func frequencies(_ theta: Double, _ width: Int) -> [Float] {
        powers(theta, width).map { 1 / $0 }
    }

    /// `θ^(2i/width)`.
    private static func powers(_ theta: Double, _ width: Int) -> [Float] {
        (0..<width / 2).map { index in
            let exponent = Float(2 * index) / Float(width)
            return Float(Elementary.power(Double(Float(theta)), Double(exponent)))
        }
    }

    private static func llama3(_ frequency: Float, factor: Float, low: Float, high: Float, length: Float) -> Float {
        let wavelength = Float(2 * Elementary.pi) / frequency
        if wavelength > length / low { return frequency / factor }
        if wavelength < length / high { return frequency }
        let smooth = (length / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
    }

    private func yarnFrequencies(_ yarn: RotaryScaling.Yarn) -> [Float] {
        // The dimension whose wave turns `rotations` times over the trained length.
        func dimension(_ rotations: Double) -> Double {
            Double(width) * Elementary.logarithm(yarn.trainedLength / (rotations * 2 * Elementary.pi))
                / (2 * Elementary.logarithm(theta))
        }
        var low = dimension(yarn.fast)
        var high = dimension(yarn.slow)
        if yarn.truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        low = max(low, 0)
        high = min(high, Double(width - 1))
        if low == high { high += 0.001 }
        return Self.powers(theta, width).enumerated().map { index, power in
            let ramp = min(max((Float(index) - Float(low)) / Float(high - low), 0), 1)
            let stays = 1 - ramp
            return 1 / (Float(yarn.factor) * power) * (1 - stays) + 1 / power * stays
        }
    }
}

/// Cosines and sines by position, `[length, width/2]` each; grows, never shrinks.
struct RotaryTable {
    private let rotary: Rotary
    private let frequencies: [Float]
    private(set) var length = 0
    private(set) var cosines = FloatBuffer(count: 0)
    private(set) var sines = FloatBuffer(count: 0)

    init(_ rotary: Rotary) {
        self.rotary = rotary
        frequencies = rotary.inverseFrequencies
    }

    /// Makes room for positions below `needed`: a power of two, at least 64, so that it settles soon.
    mutating func reserve(_ needed: Int) {
        guard needed > length else { return }
        length = 64
        while length < needed { length *= 2 }
        cosines = FloatBuffer(count: length * frequencies.count)
        sines = FloatBuffer(count: length * frequencies.count)
        let factor = rotary.attentionFactor
        for position in 0..<length {
            let row = position * frequencies.count
            for (index, frequency) in frequencies.enumerated() {
                let (cosine, sine) = Elementary.cosineSine(Double(Float(position) * frequency))
                cosines.pointer[row + index] = Float(cosine) * factor
                sines.pointer[row + index] = Float(sine) * factor
            }
        }
    }
}
