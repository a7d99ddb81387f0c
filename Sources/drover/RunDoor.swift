import CoordinatorShell
import Foundation
import ModelFiles
import StorageShell
import Terms

/// The way to a run of this machine, from its folder: its coordinator while it runs, else its journal.
struct RunDoor {
    let folder: String

    /// The job of a local run.
    static let job = JobID(1)

    init(_ folder: String) throws {
        guard Disk.hasFolder(folder) else {
            throw Failure.input("\(folder) is no directory: give the output_dir of a run")
        }
        self.folder = folder
        guard Disk.hasFile(joinPath(state, "journal.sqlite")) else {
            throw Failure.input("\(folder) holds no run: give the output_dir of one")
        }
    }

    var state: String { joinPath(folder, "state") }
    private static let endpointName = "endpoint"

    /// Notes where a run's coordinator listens; for commands of the same user.
    static func note(_ endpoint: String, run: String) throws {
        let address = endpoint.replacingOccurrences(of: "tcp://", with: "")
        try AtomicFile.write("\(run)/state/\(endpointName)", Array((address + "\n").utf8), mode: 0o600)
    }

    static func forget(run: String) { try? FileManager.default.removeItem(atPath: "\(run)/state/\(endpointName)") }

    /// The coordinator of a run that goes on right now.
    func client() throws -> CoordinatorClient {
        guard let data = FileManager.default.contents(atPath: joinPath(state, Self.endpointName)) else {
            throw Failure.failed("\(folder): the run has only just started or is ending; try again")
        }
        let address = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return try CoordinatorClient(address, trust: nil)
    }

    /// The run at rest; nil while it goes on.
    func resting() throws -> RestingRun? {
        do { return try RestingRun(state) } catch StorageError.file(.locked) { return nil }
    }
}
