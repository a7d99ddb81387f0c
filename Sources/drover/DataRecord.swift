import Datasets
import Foundation
import Hashing
import ModelFiles
import Templates
import Terms

/// What a job's tokens were made of and what model it trains, kept as `data.json` beside the tokens: a resume must find
/// the same files, and takes the same date.
struct DataRecord {
    /// A file as it was when its digest was taken.
    struct Source {
        let path: String
        let digest: Digest
        let bytes: Int
        /// What the file system said before the digest was taken.
        let state: String

        fileprivate init(_ state: FileState, _ digest: Digest) {
            (path, bytes, self.state, self.digest) = (state.path, state.size, state.text, digest)
        }

        /// Takes the digests of files, or believes earlier ones of files that nobody has written to since.
        static func all(
            _ paths: [String], earlier: [DataRecord], dropsBehind: Bool, progress: (DataDigests.Progress) -> Void
        ) throws -> [Source] {
            let states = try paths.map { try FileState(path: $0) }
            let known = earlier.flatMap { $0.sources + $0.model }
            let digests = states.map { state in known.first { $0.state == state.text }?.digest }
            let unknown = paths.indices.filter { digests[$0] == nil }
            var taken = try DataDigests.digests(
                of: unknown.map { paths[$0] }, dropsBehind: dropsBehind, progress: progress)[...]
            return zip(states, digests).map { Source($0, $1 ?? taken.removeFirst()) }
        }

        /// Whether somebody has written to the file; a rewrite of the same bytes doesn't count.
        var hasChanged: Bool {
            guard let now = try? FileState(path: path) else { return true }
            return now.text != state && (now.size != bytes || (try? Disk.digest(ofFile: path)) != digest)
        }

        fileprivate init?(json: JSONValue) {
            guard let path = json["path"]?.string, let bytes = json["bytes"]?.int, let state = json["state"]?.string,
                let digest = json["sha256"]?.string.flatMap({ Digest(hex: $0) })
            else { return nil }
            (self.path, self.bytes, self.state, self.digest) = (path, bytes, state, digest)
        }

        fileprivate var json: JSONValue {
            .members([
                "path": .string(path), "bytes": .int(bytes), "sha256": .string(digest.hex), "state": .string(state),
            ])
        }
    }

    /// The data files.
    let sources: [Source]
    /// The files of the model, and of the adapter that it starts from.
    let model: [Source]
    /// What `strftime_now` told.
    let date: CalendarDate
    /// The token cache's key.
    let key: Digest
    static let fileName = "data.json"

    init(sources: [Source], model: [Source], date: CalendarDate, key: Digest) {
        (self.sources, self.model, self.date, self.key) = (sources, model, date, key)
    }

    /// The record in a job's data folder; nil when there is none that can be read.
    init?(folder: String) {
        guard let bytes = try? Disk.read(joinPath(folder, Self.fileName), limit: 16 << 20),
            let json = try? JSONValue.parse(bytes), json["version"]?.int == 1,
            let list = json["files"]?.array, let key = json["key"]?.string.flatMap({ Digest(hex: $0) }),
            let date = json["date"]?.array?.compactMap(\.int), date.count == 6
        else { return nil }
        sources = list.compactMap(Source.init(json:))
        guard sources.count == list.count else { return nil }
        // Earlier releases kept none.
        model = (json["model"]?.array ?? []).compactMap(Source.init(json:))
        self.date = CalendarDate(
            year: date[0], month: date[1], day: date[2], hour: date[3], minute: date[4], second: date[5])
        self.key = key
    }

    func write(folder: String) throws {
        let value = JSONValue.members([
            "version": .int(1), "files": .array(sources.map(\.json)), "model": .array(model.map(\.json)),
            "date": .array([date.year, date.month, date.day, date.hour, date.minute, date.second].map(JSONValue.int)),
            "key": .string(key.hex),
        ])
        try Disk.write(json: value, to: joinPath(folder, Self.fileName))
    }

    /// Refuses to go on with a run whose data files are not what they were.
    func refuseChanges(_ now: [Source]) throws {
        for source in now {
            guard let before = sources.first(where: { $0.path == source.path }) else { continue }
            guard before.digest == source.digest else {
                throw Failure.input(
                    "\(source.path) changed since this run started (SHA-256 \(before.digest.hex.prefix(12))… is now "
                        + "\(source.digest.hex.prefix(12))…): put the old file back to go on, or start a new run in "
                        + "another output_dir")
            }
        }
    }

    /// The first data file that somebody has written to since its digest was taken.
    var changedData: String? { sources.first(where: \.hasChanged)?.path }

    /// As `changedData`, or the first file of the model.
    var changedFile: String? { changedData ?? model.first(where: \.hasChanged)?.path }

    /// The records of this user's runs beside the one whose data folder this is, by name: `runs/*/data`.
    static func neighbours(of folder: String) -> [(folder: String, record: DataRecord)] {
        let data = URL(fileURLWithPath: folder).standardizedFileURL
        let run = data.deletingLastPathComponent()
        let runs = run.deletingLastPathComponent().path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: runs)) ?? []
        return names.sorted().filter { $0 != run.lastPathComponent }.compactMap { name in
            let folder = "\(runs)/\(name)/\(data.lastPathComponent)"
            // In a folder that many may write to, another user's record is not believed.
            let owner = (try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(fileName)"))?[.ownerAccountID]
            guard (owner as? NSNumber)?.uint32Value == getuid() else { return nil }
            return DataRecord(folder: folder).map { (folder, $0) }
        }
    }

    /// Removes tokens that no run in this folder goes on with, and the note of their digest.
    static func removeTokens(_ path: String) {
        for name in [path, path + ".sha256"] { try? FileManager.default.removeItem(atPath: name) }
    }

    /// Removes what interrupted builds of other data or settings left.
    static func removeUnfinished(in folder: String, except path: String) {
        let own = path.split(separator: "/").last.map(String.init) ?? path
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        where name.contains(".tokens.partial") && !name.hasPrefix(own) {
            try? FileManager.default.removeItem(atPath: joinPath(folder, name))
        }
    }
}

/// Looks now and then whether data and model of a running job are still what they were.
struct DataWatch {
    private let record: DataRecord?
    private var next = Date().addingTimeInterval(DataWatch.seconds)

    /// Seconds between two looks; a look costs a few system calls.
    private static let seconds = 2.0

    /// Watches the files on record in a job's data folder.
    init(folder: String) { record = DataRecord(folder: folder) }

    /// The file that changed, when it is time to look and one did.
    mutating func changed() -> String? {
        guard let record, Date() >= next else { return nil }
        next = Date().addingTimeInterval(Self.seconds)
        return record.changedFile
    }
}
