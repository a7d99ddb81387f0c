import Foundation
import Terms

/// `trainer_log.jsonl`: one JSON object a logged step, each committed step once, cut back when a job goes back.
final class StepLog {
    private let path: String
    private var handle: FileHandle

    /// Opens the log and cuts away every line after `step`, torn or unreadable lines included.
    init(path: String, keepingThrough step: Step) throws {
        self.path = path
        if !FileManager.default.fileExists(atPath: path) { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw DeskError(description: "can't write the log \(path)")
        }
        self.handle = handle
        try cut(keepingThrough: step)
    }

    /// Seconds that the last line says had been spent, 0 without one.
    private(set) var elapsedSeconds = 0.0

    func cut(keepingThrough step: Step) throws {
        try handle.seek(toOffset: 0)
        let data = try handle.readToEnd() ?? Data()
        var kept = 0
        elapsedSeconds = 0
        for line in data.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            guard let value = try? JSONValue.parse(Array(line)), let current = value["current_steps"]?.int, current <= step
            else { break }
            elapsedSeconds = value["elapsed_time"]?.double ?? elapsedSeconds
            kept += line.count + 1
        }
        try handle.truncate(atOffset: UInt64(kept))
        try handle.seekToEnd()
        try handle.synchronize()
    }

    func append(_ line: JSONValue) throws { try handle.write(contentsOf: Data(line.encoded() + [0x0A])) }
}
