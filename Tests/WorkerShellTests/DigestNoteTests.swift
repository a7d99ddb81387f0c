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
}
