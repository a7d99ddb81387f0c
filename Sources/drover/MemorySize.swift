import ArgumentParser

/// An amount of memory as people write it: `8g`, `512M`, `1.5 GiB`, `4000000000`; units are powers of 1024.
struct MemorySize: ExpressibleByArgument {
    /// More than 0.
    let bytes: Int

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        var unit = argument.dropFirst(digits.count).trimmingPrefix { $0 == " " }.lowercased()
        for end in ["ib", "b"] where unit.hasSuffix(end) {
            unit.removeLast(end.count)
            break
        }
        guard let number = Double(digits), let power = ["", "k", "m", "g", "t"].firstIndex(of: unit) else { return nil }
        let count = (0..<power).reduce(number) { count, _ in count * 1024 }
        guard count >= 1, count <= 0x1p60 else { return nil }
        bytes = Int(count)
    }
}
