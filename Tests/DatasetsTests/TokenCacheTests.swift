import Glibc
import Hashing
import Terms
import Testing

@testable import Datasets

@Suite struct TokenCacheTests {
    let folder = try! TemporaryFolder()
    let key = Digest.sha256(of: "key")

    func write(_ name: String = "a.cache") throws -> String {
        let path = "\(folder.path)/\(name)"
        var writer = try TokenCacheWriter(path: path, key: key)
        try writer.append(Sample(ids: [5, 6, 7], labels: [5, -100, 7]))
        try writer.append(Sample(ids: [8, 9], labels: [-100, 9]))
        try writer.append(Sample(ids: [1], labels: [1]))
        var counts = DatasetCounts()
        counts.rows = 4
        counts.dropped = 1
        _ = try writer.finish(
            train: SequenceTable(starts: [0, 2, 3], documents: [0, 1, 0]),
            validation: SequenceTable(oneEach: [2]), counts: counts)
        return path
    }

    @Test func `a cache gives back tokens, shifted targets and document starts`() throws {
        let cache = try TokenCache(path: write(), key: key)

        #expect(cache.train.sequenceCount == 2)
        #expect(
            cache.train.sequence(0)
                == TokenSequence(
                    tokens: [5, 6, 7, 8, 9], targets: [-1, 7, -1, 9, -1], documentStarts: [0, 3]))
        #expect(cache.train.tokens(0) == 5)
        #expect(cache.train.trainedTokens(0) == 2)
        #expect(cache.train.sequence(1).tokens == [5, 6, 7])
        #expect(cache.validation.sequence(0) == TokenSequence(tokens: [1], targets: [-1], documentStarts: [0]))
        #expect(cache.validation.trainedTokens(0) == 0)
        #expect(cache.counts.rows == 4)
        #expect(cache.counts.dropped == 1)
    }

    @Test func `the trained count is the count of targets`() throws {
        let cache = try TokenCache(path: write())

        for index in 0..<cache.train.sequenceCount {
            let targets = cache.train.sequence(index).targets
            #expect(cache.train.trainedTokens(index) == targets.filter { $0 >= 0 }.count)
        }
    }

    @Test func `the same data makes the same bytes`() throws {
        _ = try write("a.cache")
        _ = try write("b.cache")

        #expect(try folder.bytes("a.cache") == folder.bytes("b.cache"))
        #expect(folder.names == ["a.cache", "b.cache"])
    }

    @Test
    func `a cache that is shortened while it is open reads as anything, says so, never traps, and can be put back`()
        throws
    {
        _ = try write("whole")
        let size = try folder.bytes("whole").count
        for length in 0..<size {
            let path = try write("\(length).cache")
            // Long ago, so that what follows is later on any clock.
            #expect(utimes(path, [timeval(), timeval()]) == 0)
            let cache = try TokenCache(path: path)
            let bytes = try folder.bytes("\(length).cache")
            #expect(cache.changedFile() == nil)
            #expect(truncate(path, off_t(length)) == 0)
            for set in [cache.train, cache.validation] {
                for index in 0..<set.sequenceCount {
                    _ = (set.sequence(index), set.trainedTokens(index), set.places(of: index))
                }
            }
            #expect(cache.changedFile() == path && cache.changedFile() == path)

            try folder.overwrite("\(length).cache", bytes)
            #expect(cache.changedFile() == path, "it was read otherwise meanwhile")
            #expect(cache.changedFile() == nil && cache.train.sequence(1).tokens == [5, 6, 7])
        }
    }

    @Test func `another key is refused`() throws {
        let path = try write()

        #expect(throws: DatasetError.cacheOfOtherKey(path: path)) {
            try TokenCache(path: path, key: .sha256(of: "other"))
        }
    }

    @Test func `flipped bytes and shortened files are found`() throws {
        let bytes = try folder.bytes(String(write().split(separator: "/").last!))

        for index in bytes.indices where index < 112 || index % 5 == 0 {
            var damaged = bytes
            damaged[index] ^= 0x10
            let path = try folder.file("damaged.cache", damaged)
            #expect(throws: DatasetError.self, "byte \(index)") { try TokenCache(path: path, key: key) }
        }
        for count in stride(from: 0, to: bytes.count, by: 11) {
            let path = try folder.file("short.cache", Array(bytes[..<count]))
            #expect(throws: DatasetError.self, "\(count) bytes") { try TokenCache(path: path, key: key) }
        }
    }

    @Test func `without verification no damaged file makes the reader trap`() throws {
        let bytes = try folder.bytes(String(write().split(separator: "/").last!))

        for index in bytes.indices where index < 112 || index % 3 == 0 {
            var damaged = bytes
            damaged[index] ^= 0xFF
            let path = try folder.file("damaged.cache", damaged)
            guard let cache = try? TokenCache(path: path, verifying: false) else { continue }
            for set in [cache.train, cache.validation] {
                for sequence in 0..<set.sequenceCount {
                    let read = set.sequence(sequence)
                    #expect(read.tokens.count == read.targets.count)
                }
            }
        }
    }

    @Test func `a cache that is given up leaves nothing behind`() throws {
        var writer = try TokenCacheWriter(path: "\(folder.path)/half.cache", key: key)
        try writer.append(Sample(ids: [1], labels: [1]))
        writer.discard()
        #expect(folder.names == [])
    }

    @Test func `two writers of one cache exclude each other`() throws {
        let path = "\(folder.path)/one.cache"
        var first = try TokenCacheWriter(path: path, key: key)
        #expect(throws: DatasetError.self) { _ = try TokenCacheWriter(path: path, key: key) }
        try first.append(Sample(ids: [1], labels: [1]))
    }
}
