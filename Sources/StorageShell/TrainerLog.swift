package import Terms

/// `trainer_log.jsonl`: one JSON object a logged step, each committed step once.
///
/// On resume at step s it is cut back to the lines with `current_steps` ≤ s; what the resumed run does again is then
/// logged again, and so stands once.
package final class TrainerLog: Sendable {
    private let log: LineLog
    /// The highest step among the lines that were kept, nil when there are none.
    package let lastStep: Step?
    /// Seconds that the last line says had been spent, 0 without one.
    package let lastElapsed: Double

    /// Opens (or makes) the log of a run that goes on after `step`; lines that are no JSON objects go, too.
    package init(
        _ path: String, through step: Step, fileSystem: any FileSystem = POSIXFileSystem()
    ) throws(StorageError) {
        var last: Step?
        var newest: ArraySlice<UInt8> = []
        log = try LineLog(path, fileSystem: fileSystem) { line in
            var current = Self.step(of: line)
            if current == nil {
                guard let object = try? JSONValue.parse(Array(line)), object.object != nil else { return false }
                current = object["current_steps"]?.int
            }
            guard current ?? 0 <= step else { return false }
            newest = line
            if let current { last = max(last ?? current, current) }
            return true
        }
        lastStep = last
        lastElapsed = (try? JSONValue.parse(Array(newest)))?["elapsed_time"]?.double ?? 0
    }

    private static let head = Array("{\"current_steps\":".utf8)

    /// The step of a line that looks as `append` wrote it, at a glance: a long run has very many. nil = look closely,
    /// as at two lines in one, which is what a torn write leaves.
    private static func step(of line: ArraySlice<UInt8>) -> Step? {
        line.withUnsafeBufferPointer { bytes in
            func isHead(_ place: Int) -> Bool {
                bytes.count - place > head.count && head.indices.allSatisfy { bytes[place + $0] == head[$0] }
            }
            guard isHead(0), bytes.last == UInt8(ascii: "}") else { return nil }
            var (place, step) = (head.count, 0)
            while place < bytes.count, case let digit = Int(bytes[place]) - 0x30, (0...9).contains(digit),
                step < 1 << 48
            {
                (place, step) = (place + 1, step * 10 + digit)
            }
            guard place > head.count, place < bytes.count, bytes[place] == UInt8(ascii: ",") else { return nil }
            for other in place..<bytes.count where bytes[other] == UInt8(ascii: "{") && isHead(other) { return nil }
            return step
        }
    }

    /// Adds one object; readers see the line on return.
    package func append(_ object: JSONValue) throws(StorageError) {
        precondition(object["current_steps"]?.int != nil, "a line of the trainer log has its step")
        try log.append([object.text])
    }

    /// Bytes of all lines.
    package var bytes: Int { log.bytes }

    /// Makes all lines durable, for instance before a checkpoint of their step is published.
    package func sync() throws(StorageError) { try log.sync() }
}
