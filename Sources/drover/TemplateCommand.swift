import ArgumentParser
import ModelFiles
import Templates
import Terms

/// `drover template`: what a chat template writes.
struct TemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template", abstract: "Renders a chat template.",
        discussion: """
            Each input line is a JSON object with the template's variables, messages among them; one JSON line comes
            out: {"text","generations"}, generations being the [start,end] of what {% generation %} blocks wrote, in
            characters, or {"error"}. Without --model, --template and --source every line brings its own:
            {"template":…,"variables":{…}}. strftime_now tells the variable `now`, [year,month,day,hour,minute,second],
            or the time.
            """)

    @Option(help: "Model directory, whose own template is used.")
    var model: String?
    @Option(help: "A built-in template.")
    var template: String?
    @Option(help: "A file with a template.")
    var source: String?
    @Option(help: "The input; default: standard input.")
    var file = "-"

    func validate() throws {
        guard [model, template, source].count(where: { $0 != nil }) <= 1 else {
            throw ValidationError("give one of --model, --template and --source")
        }
    }

    func run() throws {
        let text = try chosen()
        var variables = JSONObject()
        if let model { variables = try ModelText(TokenizerFiles(directory: model)).variables }
        let name = file == "-" ? "standard input" : file
        try Lines.forEach(file) { line, number in
            guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) else { return true }
            guard let row = try? JSONValue.parse(line).object else {
                throw Failure.input("\(name):\(number): expected a JSON object")
            }
            guard let text = text ?? row["template"]?.string else {
                throw Failure.input("\(name):\(number): `template` is missing")
            }
            let own = self.isFixed ? row : row["variables"]?.object ?? JSONObject()
            Output.json(Self.render(text, variables, own))
            return !Output.isClosed
        }
    }

    private var isFixed: Bool { model != nil || template != nil || source != nil }

    /// The one template for all lines, nil when each brings its own.
    private func chosen() throws -> String? {
        if let source { return String(decoding: try Disk.read(source, limit: 16 << 20), as: UTF8.self) }
        if let template { return try ChatTemplate(builtIn: template).source }
        guard let model else { return nil }
        guard let own = try ModelText(TokenizerFiles(directory: model)).template(named: "auto") else {
            throw Failure.input("\(model): the model has no chat template")
        }
        return own.source
    }

    private static func render(_ source: String, _ given: JSONObject, _ own: JSONObject) -> JSONValue {
        var variables = given
        for (key, value) in own.members { variables[key] = value }
        for key in ["tools", "documents"] where variables[key] == nil { variables[key] = .null }
        if variables["add_generation_prompt"] == nil { variables["add_generation_prompt"] = .bool(false) }
        let now = variables["now"]?.array?.compactMap(\.int) ?? []
        let date =
            now.count == 6
            ? CalendarDate(
                year: now[0], month: now[1], day: now[2], hour: now[3], minute: now[4], second: now[5]) : .now
        do {
            let rendering = try Template(source).renderJSON(variables, date: date)
            let utf8 = rendering.text.utf8
            // A block inside a macro whose text was thrown away may point behind the end.
            func characters(_ end: Int) -> JSONValue {
                .int(utf8[..<min(end, utf8.count)].count { $0 & 0xC0 != 0x80 })
            }
            return .members([
                "text": .string(String(decoding: utf8, as: UTF8.self)),
                "generations": .array(
                    rendering.generationRanges.map {
                        .array([characters($0.lowerBound), characters($0.upperBound)])
                    }),
            ])
        } catch { return .members(["error": .string("\(error)")]) }
    }
}
