import Terms

/// One entry of a `dataset_info.json`, understood or refused.
struct DatasetEntry {
    private let format: RowFormat
    private let columns: ColumnMap
    private let fileName: String
    private let sampleLimit: Int?
    private let source: String

    /// - Throws: a problem whose sentence goes on from the entry's name.
    init(_ value: JSONValue, name: String, in path: String) throws(RowProblem) {
        guard let object = value.object else { throw RowProblem("must be an object") }
        // What begins with a low line is somebody's remark.
        for key in object.keys where !Self.known.contains(key) && !key.hasPrefix("_") {
            throw RowProblem("has the unknown key `\(key)`")
        }
        for key in Self.elsewhere where object[key] != nil {
            throw RowProblem("lies elsewhere (`\(key)`): download it and give its `file_name`")
        }
        guard let fileName = try Self.text(object, "file_name"), !fileName.isEmpty else {
            throw RowProblem("has no `file_name`")
        }
        self.fileName = fileName
        if let ranking = object["ranking"], ranking.bool != false {
            throw RowProblem("is a set of preferences (`ranking`), which this release doesn't train on")
        }
        if let split = try Self.text(object, "split"), split != "train" {
            throw RowProblem("asks for the split `\(split)`, and a file has only `train`")
        }
        if let limit = object["num_samples"], !limit.isNull {
            guard let count = limit.int, count > 0 else { throw RowProblem("`num_samples` must be a number above 0") }
            sampleLimit = count
        } else {
            sampleLimit = nil
        }
        let style = try Self.text(object, "formatting") ?? "alpaca"
        var columns = ColumnMap()
        guard ["alpaca", "sharegpt", "openai"].contains(style) else {
            throw RowProblem("has the unknown formatting `\(style)`; known: alpaca, sharegpt, openai")
        }
        if style == "openai" {
            (columns.role, columns.content) = ("role", "content")
            columns.speakers = [
                "user": .user, "assistant": .assistant, "tool": .observation, "function": .function, "system": .system,
            ]
        }
        // Unless told, there are no such columns.
        (columns.history, columns.system, columns.tools) = (nil, nil, nil)
        try Self.read(object["columns"], isAlpaca: style == "alpaca", into: &columns)
        if style != "alpaca" { try Self.read(tags: object["tags"], into: &columns) }
        let isText = style == "alpaca" && columns.response == nil && columns.query == nil
        if isText, columns.prompt == nil { throw RowProblem("maps neither `prompt` nor `response`") }
        format = style == "alpaca" ? .alpaca : .sharegpt
        self.columns = columns
        source = "the entry `\(name)` of \(path)"
    }

    private static let elsewhere = ["hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"]

    private static let known: Set<String> = [
        "file_name", "formatting", "ranking", "subset", "split", "folder", "num_samples", "columns", "tags",
        "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "revision", "description", "license",
        "file_sha1",
    ]

    private static func text(_ object: JSONObject, _ key: String) throws(RowProblem) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let text = value.string else { throw RowProblem("`\(key)` must be a string") }
        return text
    }

    /// With `columns`, a column that it doesn't name doesn't exist.
    private static func read(
        _ value: JSONValue?, isAlpaca: Bool, into columns: inout ColumnMap
    ) throws(RowProblem) {
        guard let value, !value.isNull else { return }
        guard let object = value.object else { throw RowProblem("`columns` must be an object") }
        if isAlpaca { (columns.prompt, columns.query, columns.response) = (nil, nil, nil) }
        for (key, value) in object.members where !value.isNull {
            guard let column = value.string, !column.isEmpty else {
                throw RowProblem("`columns.\(key)` must be a column's name")
            }
            switch key {
            case "prompt": columns.prompt = column
            case "query": columns.query = column
            case "response": columns.response = column
            case "history": columns.history = column
            case "messages": columns.messages = column
            case "system": columns.system = column
            case "tools": columns.tools = column
            case "images", "videos", "audios": columns.media.append(column)
            case "chosen", "rejected", "kto_tag":
                throw RowProblem("maps `\(key)`: preferences are not trained on in this release")
            default: throw RowProblem("maps the unknown column `\(key)`")
            }
        }
    }

    private static func read(tags value: JSONValue?, into columns: inout ColumnMap) throws(RowProblem) {
        guard let value, !value.isNull else { return }
        guard let object = value.object else { throw RowProblem("`tags` must be an object") }
        var speakers: [String: ColumnMap.Speaker] = [:]
        for (key, value) in object.members where !value.isNull {
            guard let name = value.string, !name.isEmpty else { throw RowProblem("`tags.\(key)` must be a name") }
            switch key {
            case "role_tag": columns.role = name
            case "content_tag": columns.content = name
            default:
                guard key.hasSuffix("_tag"), let speaker = ColumnMap.Speaker(rawValue: String(key.dropLast(4))) else {
                    throw RowProblem("has the unknown tag `\(key)`")
                }
                guard speakers.updateValue(speaker, forKey: name) == nil else {
                    throw RowProblem("gives two tags the name `\(name)`")
                }
            }
        }
        guard !speakers.isEmpty else { return }
        // Speakers without a tag of their own keep ShareGPT's names.
        let usual: KeyValuePairs<String, ColumnMap.Speaker> = [
            "human": .user, "gpt": .assistant, "observation": .observation, "function_call": .function,
            "system": .system,
        ]
        for (name, speaker) in usual where !speakers.values.contains(speaker) && speakers[name] == nil {
            speakers[name] = speaker
        }
        columns.speakers = speakers
    }

    /// The entry's data files, which lie in `folder`.
    func files(_ folder: String, weight: Double) throws(DatasetError) -> [DatasetFile] {
        let path = fileName.hasPrefix("/") ? fileName : folder + fileName
        var paths = [path]
        if FileCalls.isFolder(path) {
            paths = try FileCalls.files(inFolder: path)
            guard sampleLimit == nil || paths.count == 1 else {
                throw .settings("`num_samples` of a folder of several files can't be told: name a file")
            }
        }
        return paths.map { path in
            var file = DatasetFile(path: path, format: format, weight: weight)
            (file.columns, file.sampleLimit, file.source) = (columns, sampleLimit, source)
            return file
        }
    }
}
