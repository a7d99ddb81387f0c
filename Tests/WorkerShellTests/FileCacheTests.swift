import Coordination
import ModelFiles
import Foundation
import Hashing
import Terms
import Testing

@testable import WorkerShell

@Suite struct FileCacheTests {
    @Test func `a file is where the job says only with its bytes; its state is believed where that is allowed`() throws
    {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-cache-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("model").path
        try "weights".write(toFile: path, atomically: false, encoding: .utf8)
        func file(_ content: String) throws -> JobFile {
            JobFile(
                kind: .model, name: "model", digest: Digest.sha256(of: content), size: 7, path: path,
                state: try FileState(path: path).text)
        }
        let root = folder.appendingPathComponent("files").path
        let (careful, trusting) = (try FileCache(root: root), try FileCache(root: root, believesStates: true))
        // A wrong digest shows who has read the file.
        let (right, wrong) = (try file("weights"), try file("Weights"))
        #expect(careful.place(of: right) == path && careful.place(of: wrong) == nil)
        #expect(trusting.place(of: right) == path && trusting.place(of: wrong) == path)
        // What was believed of one job is not known of another one.
        var unknown = wrong
        unknown.state = ""
        #expect(trusting.place(of: unknown) == nil)

        try "Weights".write(toFile: path, atomically: false, encoding: .utf8)
        for cache in [careful, trusting] {
            #expect(cache.place(of: right) == nil && cache.place(of: wrong) == path)
        }
    }
}
