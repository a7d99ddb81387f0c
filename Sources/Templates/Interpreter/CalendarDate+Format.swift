extension CalendarDate {
    /// Text by the directives of C's and Python's `strftime` in the C locale; nil for a directive that is not known.
    ///
    /// The date has no zone, so `%Z` and `%z` are empty, as for Python's naive dates.
    func formatted(_ format: String) -> String? {
        var text = ""
        var characters = format.unicodeScalars.makeIterator()
        while let character = characters.next() {
            guard character == "%" else {
                text.unicodeScalars.append(character)
                continue
            }
            var directive = characters.next()
            let isBare = directive == "-"
            if isBare { directive = characters.next() }
            guard let directive, let part = part(directive, isBare: isBare) else { return nil }
            text += part
        }
        return text
    }

    private func part(_ directive: Unicode.Scalar, isBare: Bool) -> String? {
        func padded(_ value: Int, _ width: Int = 2) -> String {
            let digits = String(value)
            return isBare ? digits : String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let clock = hour % 12 == 0 ? 12 : hour % 12
        switch directive {
        case "Y": return String(year)
        case "y": return padded(year % 100)
        case "m": return padded(month)
        case "d": return padded(day)
        case "e": return isBare || day > 9 ? String(day) : " \(day)"
        case "H": return padded(hour)
        case "I": return padded(clock)
        case "M": return padded(minute)
        case "S": return padded(second)
        case "f": return "000000"
        case "j": return padded(dayOfYear, 3)
        case "p": return hour < 12 ? "AM" : "PM"
        case "B": return Self.months[month - 1]
        case "b", "h": return String(Self.months[month - 1].prefix(3))
        case "A": return Self.days[weekday]
        case "a": return String(Self.days[weekday].prefix(3))
        case "w": return String(weekday)
        case "u": return String(weekday == 0 ? 7 : weekday)
        case "F": return formatted("%Y-%m-%d")
        case "D", "x": return formatted("%m/%d/%y")
        case "T", "X": return formatted("%H:%M:%S")
        case "R": return formatted("%H:%M")
        case "c": return formatted("%a %b %e %H:%M:%S %Y")
        case "Z", "z": return ""
        case "n": return "\n"
        case "t": return "\t"
        case "%": return "%"
        default: return nil
        }
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// 1...366.
    private var dayOfYear: Int {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month - 1]
        let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        return before + day + (isLeap && month > 2 ? 1 : 0)
    }

    /// 0 = Sunday, by Sakamoto's method.
    private var weekday: Int {
        let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1]
        let base = month < 3 ? year - 1 : year
        return (base + base / 4 - base / 100 + base / 400 + shift + day) % 7
    }
}
