/// Elementary functions in plain double arithmetic, so that tables and draws are the same bits on every machine.
///
/// The C library's functions differ between versions in the last bit. Errors here stay below 1e-15 relative (1e-15
/// absolute for sine and cosine), which leaves fp32 results correctly rounded but for ties.
package enum Elementary {
    /// ln 2 in two parts; the first has 20 trailing zero bits, so that a whole multiple of it is exact.
    private static let ln2High = 0x1.62e42feep-1
    private static let ln2Low = 0x1.a39ef35793c76p-33
    /// π/2 in three parts of 33, 33 and 53 bits.
    private static let halfPi = (0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69)

    /// π, the nearest double.
    package static let pi = Double.pi

    /// e to the power `x`; infinite above 709.78, zero below −745.
    package static func exponential(_ x: Double) -> Double {
        guard x == x else { return x }
        guard x < 709.79 else { return .infinity }
        guard x > -745.2 else { return 0 }
        let whole = (x / (ln2High + ln2Low)).rounded()
        let rest = (x - whole * ln2High) - whole * ln2Low
        var term = 1.0
        var sum = 0.0
        // Taylor: |rest| ≤ 0.347, so the 15th term is below 1e-19. Small terms are added first.
        var terms: [Double] = []
        terms.reserveCapacity(15)
        for n in 1...15 {
            terms.append(term)
            term *= rest / Double(n)
        }
        for value in terms.reversed() { sum += value }
        // Two steps, because the exponent may lie below that of the smallest normal number.
        let half = Int(whole) / 2
        return sum * Double(sign: .plus, exponent: half, significand: 1)
            * Double(sign: .plus, exponent: Int(whole) - half, significand: 1)
    }

    /// The natural logarithm of `x`; −infinity at 0, not-a-number below.
    package static func logarithm(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x.isFinite else { return x }
        var fraction = x.significand
        var exponent = Double(x.exponent)
        if fraction > 1.4142135623730951 {
            fraction /= 2
            exponent += 1
        }
        // ln m = 2·artanh s, s = (m − 1)/(m + 1), |s| ≤ 0.172: the 12th odd power is below 1e-19.
        let s = (fraction - 1) / (fraction + 1)
        let square = s * s
        var sum = 0.0
        for n in stride(from: 23, through: 3, by: -2) { sum = (sum + 1 / Double(n)) * square }
        return exponent * ln2High + (2 * (s + s * sum) + exponent * ln2Low)
    }

    /// `base` to the power `exponent`, for base > 0.
    package static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 0 ? 1 : exponential(exponent * logarithm(base))
    }

    /// Cosine and sine of `angle` in radians, |angle| ≤ 10⁶.
    package static func cosineSine(_ angle: Double) -> (cosine: Double, sine: Double) {
        let quarter = (angle / (halfPi.0 + halfPi.1)).rounded()
        let rest = ((angle - quarter * halfPi.0) - quarter * halfPi.1) - quarter * halfPi.2
        let (cosine, sine) = smallCosineSine(rest)
        switch Int(quarter) & 3 {
        case 0: return (cosine, sine)
        case 1: return (-sine, cosine)
        case 2: return (-cosine, -sine)
        default: return (sine, -cosine)
        }
    }

    /// Taylor series for |x| ≤ π/4, to x¹⁹.
    private static func smallCosineSine(_ x: Double) -> (Double, Double) {
        let square = x * x
        var cosine = 0.0
        var sine = 0.0
        for n in stride(from: 18, through: 2, by: -2) {
            cosine = (1 + cosine) * -square / Double(n * (n - 1))
            sine = (1 + sine) * -square / Double(n * (n + 1))
        }
        return (1 + cosine, x + x * sine)
    }
}
