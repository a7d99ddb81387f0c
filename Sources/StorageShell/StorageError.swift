package import Checkpoints
package import Terms

/// Why a store, a journal or a log could not do what was asked.
package enum StorageError: Error, Equatable, CustomStringConvertible {
    case file(FileError)
    /// A draft that breaks the format's rules, or a checkpoint that does not fit the model.
    case checkpoint(CheckpointError)
    /// A folder that is no checkpoint store, or one of another version.
    case unknownFormat(path: String, found: String)
    /// Bytes that are not what their name promises.
    case damaged(path: String, problem: String)
    /// A manifest names objects that are not there.
    case missingObjects(count: Int, first: Digest)
    /// A checkpoint that is not in the store.
    case noSuchCheckpoint(run: String, wanted: String)
    /// A run has manifests and none of them can be used.
    case noUsableCheckpoint(run: String, rejected: [RejectedCheckpoint])
    /// Opened for reading, asked to write.
    case readOnly(path: String)
    /// The journal's file is wrong: a broken chain, a lost tail, another program's database.
    case journalDamaged(path: String, problem: String)
    /// A setting on which durability rests does not hold.
    case journalSetting(name: String, wanted: String, found: String)
    /// SQLite refused; `code` is its extended result code.
    case journalFailed(operation: String, code: Int, message: String)
    /// An earlier failure left it open what the disk holds; only a restart can tell.
    case journalStopped(reason: String)

    package var description: String {
        switch self {
        case .file(let error): error.description
        case .checkpoint(let error): error.description
        case .unknownFormat(let path, let found):
            "\(path) is no checkpoint store of this version: "
                + (found.isEmpty ? "it has no FORMAT file" : "FORMAT says `\(found)`")
        case .damaged(let path, let problem):
            "\(path): \(problem); `drover checkpoint verify` lists everything that is wrong"
        case .missingObjects(let count, let first):
            "\(count) object(s) are missing, the first is \(first); save the checkpoint again"
        case .noSuchCheckpoint(let run, let wanted):
            "run \(run) has no checkpoint \(wanted); `drover checkpoint ls` lists them"
        case .noUsableCheckpoint(let run, let rejected):
            "run \(run): none of its \(rejected.count) checkpoint(s) can be used; "
                + rejected.prefix(5).map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
        case .readOnly(let path): "\(path) was opened for reading only"
        case .journalDamaged(let path, let problem):
            "\(path): \(problem); restore the folder from a backup and start what has seen a newer state again, or "
                + "begin a new run with a checkpoint, which needs no journal: `drover train JOB.yaml --resume RUN@STEP`"
        case .journalSetting(let name, let wanted, let found):
            "SQLite reports \(name) = \(found), durability needs \(wanted); this SQLite library can't keep the journal"
        case .journalFailed(let operation, let code, let message):
            "the journal failed while \(operation): \(message) (SQLite \(code))"
        case .journalStopped(let reason): "the journal takes no more entries: \(reason); restart the coordinator"
        }
    }

    /// True when the disk has no room left for what was asked.
    package var isFullDisk: Bool {
        switch self {
        case .file(let error): error.isFullDisk
        // SQLITE_FULL
        case .journalFailed(_, let code, _): code & 0xFF == 13
        default: false
        }
    }

    /// True when the same attempt may succeed later without anybody mending anything.
    package var isTransient: Bool {
        if case .file(let error) = self { return error.isTransient }
        return isFullDisk
    }
}

/// A published checkpoint that can't be used, and why.
package struct RejectedCheckpoint: Sendable, Equatable {
    /// The manifest's file name.
    package var name: String
    /// One sentence.
    package var reason: String
    package init(name: String, reason: String) {
        self.name = name
        self.reason = reason
    }
}
