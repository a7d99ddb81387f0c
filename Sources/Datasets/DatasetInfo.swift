import Terms

/// LLaMA-Factory's `dataset_info.json`: data files by name, with the names of their columns.
///
/// Source: LLaMA-Factory, `data/README.md`. A file that nobody gave a type is looked up in the `dataset_info.json` of
/// its own folder.
package enum DatasetInfo {
    /// The file's name, everywhere.
    package static let fileName = "dataset_info.json"
    private static let sizeLimit = 16 << 20

    /// The data files that a path stands for: those of `…/dataset_info.json` (or its folder), of `…#name,name` only the
    /// named ones; any other path is itself.
    package static func files(of file: DatasetFile) throws(DatasetError) -> [DatasetFile] {
        let (path, names) = split(file.path)
        if FileCalls.isFolder(path) {
            let info = path + (path.hasSuffix("/") ? "" : "/") + fileName
            guard FileCalls.exists(info) else {
                throw .unreadable(path: path, reason: "it is a folder without \(fileName): name its files one by one")
            }
            return try entries(of: info, names, file)
        }
        if name(of: path) == fileName { return try entries(of: path, names, file) }
        return [file.format == nil ? try described(file) : file]
    }

    /// The path and the names behind `#`, nil when there are none.
    private static func split(_ path: String) -> (path: String, names: [String]?) {
        guard let mark = path.utf8.lastIndex(of: UInt8(ascii: "#")) else { return (path, nil) }
        let before = String(path[..<mark])
        guard name(of: before) == fileName || FileCalls.isFolder(before) else { return (path, nil) }
        let names = path[path.utf8.index(after: mark)...].split(separator: ",").map(String.init)
        return (before, names)
    }

    private static func name(of path: String) -> Substring { path.split(separator: "/").last ?? "" }

    private static func folder(of path: String) -> String {
        path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
    }

    private static func read(_ path: String) throws(DatasetError) -> JSONObject {
        var reader = try FileReader(path: path)
        var bytes: [UInt8] = []
        try reader.skipByteOrderMark()
        while let byte = try reader.take() {
            bytes.append(byte)
            guard bytes.count <= sizeLimit else { throw .unreadable(path: path, reason: "it is longer than 16 MiB") }
        }
        let value: JSONValue
        do { value = try JSONValue.parse(bytes, limits: JSONLimits(refusesDuplicateKeys: true)) } catch {
            throw .settings("\(path): not valid JSON: \(error)")
        }
        guard let object = value.object else { throw .settings("\(path): must be an object of data sets by name") }
        return object
    }

    private static func entries(
        of path: String, _ names: [String]?, _ file: DatasetFile
    ) throws(DatasetError) -> [DatasetFile] {
        guard file.format == nil else {
            throw .settings("\(path): it tells itself how its files are read: leave `type` out")
        }
        let object = try read(path)
        var files: [DatasetFile] = []
        for name in names ?? object.keys {
            guard let entry = object[name] else {
                throw .settings("\(path): names no data set `\(name)`; it has \(object.keys.joined(separator: ", "))")
            }
            do {
                files += try DatasetEntry(entry, name: name, in: path).files(folder(of: path), weight: file.weight)
            } catch {
                let way = names == nil && object.members.count > 1 ? "; to use only some: \(path)#NAME,NAME" : ""
                throw .settings("\(path): `\(name)` \(error)\(way)")
            }
        }
        guard !files.isEmpty else { throw .settings("\(path): names no data sets") }
        return files
    }

    /// The file with what the `dataset_info.json` beside it says about it, if there is one that says one thing.
    private static func described(_ file: DatasetFile) throws(DatasetError) -> DatasetFile {
        let info = folder(of: file.path) + fileName
        // Somebody else's broken list is no fault of this file.
        guard FileCalls.exists(info), let object = try? read(info) else { return file }
        var found: [DatasetFile] = []
        for (name, value) in object.members where value["file_name"]?.string == String(self.name(of: file.path)) {
            guard let entry = try? DatasetEntry(value, name: name, in: info),
                let files = try? entry.files(folder(of: info), weight: file.weight)
            else { continue }
            found += files
        }
        guard let first = found.first,
            found.allSatisfy({ $0.columns == first.columns && $0.format == first.format })
        else { return file }
        var described = file
        (described.format, described.columns, described.source) = (first.format, first.columns, first.source)
        return described
    }
}
