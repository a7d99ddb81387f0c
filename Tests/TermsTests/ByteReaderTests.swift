import Terms
import Testing

@Suite struct ByteReaderTests {
    @Test func `what a writer wrote a reader reads`() throws {
        var writer = ByteWriter()
        writer.integer(UInt8(0xFE))
        writer.integer(UInt16(0x1234))
        writer.integer(UInt32(0xDEAD_BEEF))
        writer.integer(UInt64.max - 1)
        writer.integer(Int64(-5))
        writer.float(-0.0)
        writer.double(.pi)
        writer.bool(true)
        writer.string("Grüße 🐂")
        writer.blob([1, 2, 3])
        writer.list([7, 8]) { $0.integer(UInt32($1)) }

        var reader = ByteReader(writer.bytes)

        #expect(try reader.integer(UInt8.self) == 0xFE)
        #expect(try reader.integer(UInt16.self) == 0x1234)
        #expect(try reader.integer(UInt32.self) == 0xDEAD_BEEF)
        #expect(try reader.integer(UInt64.self) == .max - 1)
        #expect(try reader.integer(Int64.self) == -5)
        #expect(try reader.float().bitPattern == Float(-0.0).bitPattern)
        #expect(try reader.double() == .pi)
        #expect(try reader.bool())
        #expect(try reader.string(limit: 100) == "Grüße 🐂")
        #expect(try reader.blob(limit: 3) == [1, 2, 3])
        let list = try reader.list(limit: 2) { (reader) throws(ByteError) in try reader.integer(UInt32.self) }
        #expect(list == [7, 8])
        try reader.finish()
    }

    @Test func `integers are little-endian`() {
        var writer = ByteWriter()
        writer.integer(UInt32(0x0102_0304))

        #expect(writer.bytes == [4, 3, 2, 1])
    }

    @Test func `too few bytes are an error and read nothing`() {
        var reader = ByteReader([1, 2, 3])

        #expect(throws: ByteError.truncated) { try reader.integer(UInt32.self) }
        #expect(reader.remaining == 3)
        #expect(throws: ByteError.truncated) { try reader.raw(4) }
        #expect(throws: ByteError.truncated) { try reader.raw(-1) }
    }

    @Test func `a length above its limit or above what is left is an error`() {
        var writer = ByteWriter()
        writer.integer(UInt32.max)
        writer.raw([1, 2, 3])

        var reader = ByteReader(writer.bytes)
        #expect(throws: ByteError.tooLong) { try reader.blob(limit: 1000) }
        reader = ByteReader(writer.bytes)
        #expect(throws: ByteError.truncated) { try reader.blob(limit: .max) }
        reader = ByteReader(writer.bytes)
        #expect(throws: ByteError.truncated) {
            try reader.list(limit: .max) { (reader) throws(ByteError) in try reader.integer(UInt8.self) }
        }
    }

    @Test func `a truth value is zero or one and a text is UTF-8`() {
        var reader = ByteReader([2])
        #expect(throws: ByteError.invalid("bool")) { try reader.bool() }
        reader = ByteReader([2, 0, 0, 0, 0xC3, 0x28])
        #expect(throws: ByteError.invalid("utf-8")) { try reader.string(limit: 10) }
    }

    @Test func `bytes after the last field are an error`() throws {
        var reader = ByteReader([1, 2])
        _ = try reader.integer(UInt8.self)

        #expect(throws: ByteError.trailing) { try reader.finish() }
    }

    @Test func `a slice is read from its own start`() throws {
        var reader = ByteReader([9, 9, 1, 0, 9][2..<4])

        #expect(try reader.integer(UInt16.self) == 1)
        try reader.finish()
    }
}
