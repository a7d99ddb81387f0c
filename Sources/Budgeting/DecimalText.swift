/// A non-negative decimal number read digit by digit, so that amounts never pass through binary floating point.
struct DecimalText: Equatable {
    /// All digits as one integer, below 10^18.
    var digits: UInt64
    /// The value is `digits · 10^exponent`; in -36...36.
    var exponent: Int

    /// Digits a number may have; more do not fit the smallest parts of any unit.
    static let digitLimit = 18
    private static let exponentLimit = 18

    /// Reads `12`, `1.5`, `.5`, `2e6` from the front of `text`, and takes what was read off it.
    ///
    /// - Returns: nil when no number is there, or one with too many digits; then `text` is as it was.
    init?(takingFrom text: inout Substring.UTF8View) {
        var rest = text
        var digits: UInt64 = 0
        var count = 0
        var fraction = 0
        var sawPoint = false
        var sawDigit = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !sawPoint {
                sawPoint = true
            } else if (0x30...0x39).contains(byte) {
                sawDigit = true
                if digits > 0 || byte > 0x30 { count += 1 }
                guard count <= Self.digitLimit, fraction < Self.digitLimit || !sawPoint else { return nil }
                digits = digits * 10 + UInt64(byte - 0x30)
                if sawPoint { fraction += 1 }
            } else {
                break
            }
            rest = rest.dropFirst()
        }
        guard sawDigit else { return nil }
        self.digits = digits
        exponent = -fraction
        if let written = Self.exponent(takingFrom: &rest) {
            guard abs(written) <= Self.exponentLimit else { return nil }
            exponent += written
        }
        text = rest
    }

    /// Reads `e6`, `E-3`: only when a digit follows, so that `5 EUR` and `5EUR` keep their E.
    private static func exponent(takingFrom text: inout Substring.UTF8View) -> Int? {
        guard let first = text.first, first | 0x20 == UInt8(ascii: "e") else { return nil }
        var rest = text.dropFirst()
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        guard let digit = rest.first, (0x30...0x39).contains(digit) else { return nil }
        var value = 0
        while let byte = rest.first, (0x30...0x39).contains(byte) {
            value = min(value * 10 + Int(byte - 0x30), 10_000)
            rest = rest.dropFirst()
        }
        text = rest
        return isNegative ? -value : value
    }

    /// `value · factor` in whole numbers.
    ///
    /// - Returns: the amount rounded down and whether anything was cut off; nil when it does not fit Int64.
    func scaled(by factor: UInt64) -> (amount: Int64, isExact: Bool)? {
        var (high, low) = digits.multipliedFullWidth(by: factor)
        if exponent >= 0 {
            for _ in 0..<exponent {
                let (carry, product) = low.multipliedFullWidth(by: 10)
                let (raised, overflow) = high.multipliedReportingOverflow(by: 10)
                let (sum, carried) = raised.addingReportingOverflow(carry)
                if overflow || carried { return nil }
                (high, low) = (sum, product)
            }
        }
        var isExact = true
        for _ in 0..<max(0, -exponent) {
            let top = high.quotientAndRemainder(dividingBy: 10)
            let bottom = UInt64(10).dividingFullWidth((top.remainder, low))
            if bottom.remainder != 0 { isExact = false }
            (high, low) = (top.quotient, bottom.quotient)
        }
        guard high == 0, let amount = Int64(exactly: low) else { return nil }
        return (amount, isExact)
    }
}
