package import Terms

/// `trainer_log.jsonl`: one JSON object a logged step, each committed step once.
///
/// On resume at step s it is cut back to the lines with `current_steps` ≤ s; what the resumed run does again is then
/// logged again, and so stands once.
package final class TrainerLog: Sendable {
    private let log: LineLog
    /// The highest step among the lines that were kept, nil when there are none.
    package let lastStep: Step?

    /// Opens (or makes) the log of a run that goes on after `step`; lines that are no JSON objects go, too.
    package init(
        _ path: String, through step: Step, fileSystem: any FileSystem = POSIXFileSystem()
    ) throws(StorageError) {
        var last: Step?
        log = try LineLog(path, fileSystem: fileSystem) { line in
            guard let object = try? JSONValue.parse(Array(line)), object.object != nil else { return false }
            guard let current = object["current_steps"]?.int else { return true }
            guard current <= step else { return false }
            last = max(last ?? current, current)
            return true
        }
        lastStep = last
    }

    /// Adds one object; readers see the line on return.
    package func append(_ object: JSONValue) throws(StorageError) {
        precondition(object["current_steps"]?.int != nil, "a line of the trainer log has its step")
        try log.append([object.text])
    }

    /// Makes all lines durable, for instance before a checkpoint of their step is published.
    package func sync() throws(StorageError) { try log.sync() }
}
