/// Whether bytes are well-formed UTF-8. Unicode Standard, table 3-7.
enum UTF8Check {
    static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var at = 0
        let end = bytes.count
        guard let start = bytes.baseAddress else { return true }
        while at < end {
            let first = start[at]
            if first < 0x80 {
                at += 1
                continue
            }
            var low: UInt8 = 0x80
            var high: UInt8 = 0xBF
            let more: Int
            switch first {
            case 0xC2...0xDF: more = 1
            case 0xE0...0xEF:
                more = 2
                if first == 0xE0 { low = 0xA0 }
                if first == 0xED { high = 0x9F }
            case 0xF0...0xF4:
                more = 3
                if first == 0xF0 { low = 0x90 }
                if first == 0xF4 { high = 0x8F }
            default: return false
            }
            guard at + more < end, start[at + 1] >= low, start[at + 1] <= high else { return false }
            if more > 1, start[at + 2] & 0xC0 != 0x80 { return false }
            if more > 2, start[at + 3] & 0xC0 != 0x80 { return false }
            at += more + 1
        }
        return true
    }
}
