import Terms
import Testing

@testable import Datasets

/// Cutting files into chunks of bytes, and the order in which an excerpt takes them.
@Suite struct ChunkTests {
    let folder = try! TemporaryFolder()

    /// A file of lines of all lengths: empty and blank ones, Windows's ends, some longer than several chunks.
    static func file(_ seed: UInt64) -> [UInt8] {
        let random = Philox(seed: seed, purpose: .probe)
        var draw: UInt64 = 0
        func next(_ bound: UInt64) -> Int {
            draw += 1
            return Int(random.below(bound, draw))
        }
        var bytes: [UInt8] = seed % 3 == 0 ? [0xEF, 0xBB, 0xBF] : []
        for _ in 0..<next(40) {
            switch next(8) {
            case 0: break
            case 1: bytes += Array(repeating: 0x20, count: next(5))
            case 2: bytes += Array(repeating: UInt8(ascii: "x"), count: 1 + next(400))
            default: bytes += Array(repeating: UInt8(ascii: "a") + UInt8(next(26)), count: 1 + next(70))
            }
            if next(4) == 0 { bytes.append(0x0D) }
            bytes.append(0x0A)
        }
        if seed % 2 == 0 { bytes += Array("no line feed at the end".utf8) }
        return bytes
    }

    private func sequential(_ path: String) throws -> [String] {
        var source = try RowSource(path: path)
        var rows: [String] = []
        while let row = try source.next() {
            guard case .json(let bytes) = row.content else { continue }
            rows.append("\(row.line) \(String(decoding: bytes, as: UTF8.self))")
        }
        return rows
    }

    @Test func `every row is in exactly one chunk, whole and with its line`() throws {
        for seed in UInt64(0)..<60 {
            let bytes = Self.file(seed)
            let path = try folder.file("a.jsonl", bytes)
            let expected = try sequential(path)
            for chunk in [16, 64, 100, 1 << 20] {
                var rows: [String] = []
                let reader = try ChunkReader(path: path)
                for start in stride(from: 0, to: bytes.count, by: chunk) {
                    var found = RowChunk()
                    try reader.read(start..<min(start + chunk, bytes.count), into: &found)
                    guard !found.rows.isEmpty else { continue }
                    let line = try reader.lines(at: [found.start])[0]
                    for row in found.rows {
                        guard case .json(let range) = row.content else { continue }
                        rows.append(
                            "\(line + row.line - 1) \(String(decoding: found.bytes[range], as: UTF8.self))")
                    }
                }
                #expect(rows == expected, "seed \(seed), chunks of \(chunk)")
            }
        }
    }

    @Test func `a line that no row may have is told, not read to its end`() throws {
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: RowSource.rowLimit + 10)
        let path = try folder.file("a.jsonl", Array("{}\n".utf8) + long + Array("\n{}\n".utf8))
        var rows = RowChunk()
        try ChunkReader(path: path).read(0..<256, into: &rows)

        #expect(rows.rows.count == 2)
        guard case .broken(RowSource.tooLong) = rows.rows[1].content else {
            Issue.record("the second row is \(rows.rows[1].content)")
            return
        }
    }

    @Test func `the order holds every byte of every file once, and files count by their bytes`() {
        let sizes = [1000, 0, 17, 64, 65, 0]
        for isShuffled in [true, false] {
            var settings = ExcerptSettings(.tokens(1), isShuffled: isShuffled)
            settings.chunkBytes = 64
            let order = ChunkOrder(sizes: sizes, settings: settings, seed: 5)
            let chunks = (0..<order.count).map { order[$0] }
            let sorted = chunks.sorted { ($0.file, $0.bytes.lowerBound) < ($1.file, $1.bytes.lowerBound) }

            #expect(order.bytes == 1146 && chunks.count == 16 + 1 + 1 + 2)
            #expect((chunks == sorted) == !isShuffled)
            for (file, size) in sizes.enumerated() {
                let own = sorted.filter { $0.file == file }.map(\.bytes)
                #expect(own.flatMap { Array($0) } == Array(0..<size))
                #expect(own.allSatisfy { !$0.isEmpty && $0.lowerBound % 64 == 0 && $0.count <= 64 })
            }
        }
    }

    @Test func `another seed draws other chunks first`() {
        let settings = ExcerptSettings(.tokens(1), isShuffled: true)
        let orders = (UInt64(0)..<8).map { seed in
            let order = ChunkOrder(sizes: [10 << 30], settings: settings, seed: seed)
            return (0..<4).map { order[$0].bytes.lowerBound }
        }
        #expect(Set(orders).count == 8)
    }

    @Test func `an extent is rounded up to a power of two`() {
        func sequences(_ count: Int) -> ExcerptSettings.Extent {
            ExcerptSettings(.sequences(count), isShuffled: true).extent
        }
        #expect([1, 2, 3, 4, 5, 1000, 1024].map(sequences) == [1, 2, 4, 4, 8, 1024, 1024].map { .sequences($0) })
        #expect(ExcerptSettings(.tokens(.max), isShuffled: true).extent == .tokens(1 << 50))
    }
}
