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
        // Taylor to the 14th power, |rest| ≤ 0.347: what is left out is below 1e-19.
        var sum = rest * (1 / 14) + 1
        sum = sum * rest * (1 / 13) + 1
        sum = sum * rest * (1 / 12) + 1
        sum = sum * rest * (1 / 11) + 1
        sum = sum * rest * (1 / 10) + 1
        sum = sum * rest * (1 / 9) + 1
        sum = sum * rest * (1 / 8) + 1
        sum = sum * rest * (1 / 7) + 1
        sum = sum * rest * (1 / 6) + 1
        sum = sum * rest * (1 / 5) + 1
        sum = sum * rest * (1 / 4) + 1
        sum = sum * rest * (1 / 3) + 1
        sum = sum * rest * (1 / 2) + 1
        sum = sum * rest + 1
        // Two steps, because the exponent may lie below that of the smallest normal number.
        let half = Int(whole) / 2
        return sum * powerOfTwo(half) * powerOfTwo(Int(whole) - half)
    }

    /// 2 to the power `exponent`, −1022…1023.
    private static func powerOfTwo(_ exponent: Int) -> Double { Double(bitPattern: UInt64(exponent + 1023) << 52) }

    /// The natural logarithm of `x`; −infinity at 0, not-a-number below.
    package static func logarithm(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x.isFinite else { return x }
        // Numbers below the smallest normal one are brought into range first.
        let tiny = x < 0x1p-1022
        let bits = (tiny ? x * 0x1p54 : x).bitPattern
        var fraction = Double(bitPattern: bits & 0xF_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000)
        var exponent = Double(Int(bits >> 52) - 1023 - (tiny ? 54 : 0))
        if fraction > 1.4142135623730951 {
            fraction /= 2
            exponent += 1
        }
        // ln m = 2·artanh s, s = (m − 1)/(m + 1), |s| ≤ 0.172: the 12th odd power is below 1e-19.
        let s = (fraction - 1) / (fraction + 1)
        let square = s * s
        var sum = square * (1 / 23) + 1 / 21
        sum = sum * square + 1 / 19
        sum = sum * square + 1 / 17
        sum = sum * square + 1 / 15
        sum = sum * square + 1 / 13
        sum = sum * square + 1 / 11
        sum = sum * square + 1 / 9
        sum = sum * square + 1 / 7
        sum = sum * square + 1 / 5
        sum = (sum * square + 1 / 3) * square
        return exponent * ln2High + (2 * (s + s * sum) + exponent * ln2Low)
    }

    /// `base` to the power `exponent`, for base > 0.
    package static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 0 ? 1 : exponential(exponent * logarithm(base))
    }

    /// Cosine and sine of `angle` in radians, exact to 1e-15 for |angle| ≤ 10⁶; not-a-number beyond 10¹².
    package static func cosineSine(_ angle: Double) -> (cosine: Double, sine: Double) {
        guard abs(angle) <= 1e12 else { return (.nan, .nan) }
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

    /// Taylor series to x¹⁹ for |x| ≤ π/4; what is left out is below 1e-19.
    private static func smallCosineSine(_ x: Double) -> (Double, Double) {
        let negative = -x * x
        var cosine = negative * (1 / 306) + 1
        cosine = cosine * negative * (1 / 240) + 1
        cosine = cosine * negative * (1 / 182) + 1
        cosine = cosine * negative * (1 / 132) + 1
        cosine = cosine * negative * (1 / 90) + 1
        cosine = cosine * negative * (1 / 56) + 1
        cosine = cosine * negative * (1 / 30) + 1
        cosine = cosine * negative * (1 / 12) + 1
        cosine = cosine * negative * (1 / 2) + 1
        var sine = negative * (1 / 342) + 1
        sine = sine * negative * (1 / 272) + 1
        sine = sine * negative * (1 / 210) + 1
        sine = sine * negative * (1 / 156) + 1
        sine = sine * negative * (1 / 110) + 1
        sine = sine * negative * (1 / 72) + 1
        sine = sine * negative * (1 / 42) + 1
        sine = sine * negative * (1 / 20) + 1
        sine = sine * negative * (1 / 6)
        return (cosine, x + x * sine)
    }
}
