import Foundation
import Hashing
import Terms
import Testing
import WorkerShell

@Suite struct DigestNoteTests {
    @Test func `a digest is noted, believed while the file is what it was, and read again once it is written to`()
        throws
    {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("drover-note-\(UUID().uuidString)")
            .path
        defer { for name in [path, path + ".sha256"] { try? FileManager.default.removeItem(atPath: name) } }
        try "tokens".write(toFile: path, atomically: false, encoding: .utf8)
        #expect(try DigestNote.digest(of: path) == Digest.sha256(of: "tokens"))

        // Another digest in the note shows whether it is the note that answers.
        let note = try String(contentsOfFile: path + ".sha256", encoding: .utf8)
        let other = Digest.sha256(of: "other")
        try note.replacing(Digest.sha256(of: "tokens").hex, with: other.hex)
            .write(toFile: path + ".sha256", atomically: false, encoding: .utf8)
        #expect(try DigestNote.digest(of: path) == other)

        try "Tokens".write(toFile: path, atomically: false, encoding: .utf8)
        #expect(try DigestNote.digest(of: path) == Digest.sha256(of: "Tokens"))
        try "no note".write(toFile: path + ".sha256", atomically: false, encoding: .utf8)
        #expect(try DigestNote.digest(of: path) == Digest.sha256(of: "Tokens"))
    }

    @Test func `a file gets a second name with its note, which holds until somebody writes to either`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-note-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (first, second) = (folder.appendingPathComponent("a").path, folder.appendingPathComponent("b").path)
        try "tokens".write(toFile: first, atomically: false, encoding: .utf8)
        DigestNote.share(first, as: second)
        #expect(FileManager.default.contents(atPath: second) == Data("tokens".utf8) && DigestNote.known(second) == nil)

        try FileManager.default.removeItem(atPath: second)
        _ = try DigestNote.digest(of: first)
        DigestNote.share(first, as: second)
        for path in [first, second] { #expect(DigestNote.known(path) == Digest.sha256(of: "tokens")) }

        try FileManager.default.removeItem(atPath: second)
        #expect(DigestNote.known(first) == Digest.sha256(of: "tokens"))
        DigestNote.share(first, as: second)

        // They are one file: what is written to the one is seen through the other's note.
        try FileHandle(forWritingTo: URL(fileURLWithPath: first)).write(contentsOf: Data("T".utf8))
        for path in [first, second] { #expect(DigestNote.known(path) == nil) }
    }
}
