/// Texts of values as Python's `str` and `repr` write them.
extension Value {
    /// `str(value)`; an undefined value is empty, as Jinja prints it.
    var shown: MarkedText {
        switch self {
        case .undefined: return MarkedText()
        case .text(let text): return text
        case .open(let text, let log):
            log.wasRead = true
            return text
        default:
            var out = MarkedText()
            writeRepr(into: &out)
            return out
        }
    }

    /// As `shown`, for a text that goes into the output or a longer text as it is.
    var written: MarkedText { if case .open(let text, _) = self { text } else { shown } }

    /// `repr(value)`.
    func writeRepr(into out: inout MarkedText) {
        func put(_ text: String) { out.append(utf8: text.utf8, isData: false) }
        switch self {
        case .undefined: put("Undefined")
        case .none: put("None")
        case .bool(let value): put(value ? "True" : "False")
        case .integer(let value): put(String(value))
        case .bigInteger(let text): put(text)
        case .float(let value): put(FloatText.repr(value))
        case .text(let text): text.writeRepr(into: &out)
        case .open(_, let log): log.wasRead = true
        case .list(let list): Self.write(list.elements, between: "[", "]", into: &out)
        case .tuple(let list):
            Self.write(list.elements, between: "(", list.elements.count == 1 ? ",)" : ")", into: &out)
        case .dict(let dict):
            put("{")
            for (index, entry) in dict.entries.enumerated() {
                if index > 0 { put(", ") }
                entry.key.writeRepr(into: &out)
                put(": ")
                entry.value.writeRepr(into: &out)
            }
            put("}")
        case .iterator, .namespace, .loop, .macro, .function, .method: put("<\(typeName)>")
        }
    }

    private static func write(_ elements: [Value], between open: String, _ close: String, into out: inout MarkedText) {
        out.append(utf8: open.utf8, isData: false)
        for (index, element) in elements.enumerated() {
            if index > 0 { out.append(utf8: ", ".utf8, isData: false) }
            element.writeRepr(into: &out)
        }
        out.append(utf8: close.utf8, isData: false)
    }
}

/// Floats as Python writes them.
enum FloatText {
    /// The shortest digits that read back to the same bits; an exponent below 1e-4 and from 1e16 on.
    static func repr(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let sign = value.sign == .minus ? "-" : ""
        if value == 0 { return sign + "0.0" }
        let (digits, point) = shortest(value.magnitude)
        if point > 16 || point < -3 {
            let exponent = point - 1
            let magnitude = String(exponent.magnitude)
            let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
            return sign + digits.prefix(1) + fraction + "e" + (exponent < 0 ? "-" : "+")
                + (magnitude.count < 2 ? "0" : "") + magnitude
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.count { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    /// Significant digits, and how many of them stand before the decimal point.
    private static func shortest(_ value: Double) -> (digits: String, point: Int) {
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        var digits = String(mantissa[0]) + (mantissa.count > 1 ? String(mantissa[1]) : "")
        var point = mantissa[0].count + exponent
        while digits.hasPrefix("0"), digits.count > 1 {
            digits.removeFirst()
            point -= 1
        }
        while digits.hasSuffix("0"), digits.count > 1 { digits.removeLast() }
        return (digits, point)
    }
}

extension MarkedText {
    /// Python's `repr` of a string.
    func writeRepr(into out: inout MarkedText) {
        let hasSingle = utf8.contains(UInt8(ascii: "'"))
        let quote = UInt8(ascii: hasSingle && !utf8.contains(UInt8(ascii: "\"")) ? "\"" : "'")
        out.append(utf8: [quote], isData: false)
        for (scalar, range) in scalars {
            let isData = containsData(range)
            switch scalar {
            case "\\": out.append(utf8: "\\\\".utf8, isData: isData)
            case "\n": out.append(utf8: "\\n".utf8, isData: isData)
            case "\r": out.append(utf8: "\\r".utf8, isData: isData)
            case "\t": out.append(utf8: "\\t".utf8, isData: isData)
            case Unicode.Scalar(quote): out.append(utf8: [UInt8(ascii: "\\"), quote], isData: isData)
            default:
                if Self.isPrintable(scalar) {
                    out.append(self, range)
                } else {
                    out.append(utf8: Self.escape(scalar).utf8, isData: isData)
                }
            }
        }
        out.append(utf8: [quote], isData: false)
    }

    /// `str.isprintable`: neither other nor separator, but the space.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value >= 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let hex = String(scalar.value, radix: 16)
        let (mark, width) = scalar.value < 0x100 ? ("\\x", 2) : scalar.value < 0x10000 ? ("\\u", 4) : ("\\U", 8)
        return mark + String(repeating: "0", count: width - hex.count) + hex
    }
}
