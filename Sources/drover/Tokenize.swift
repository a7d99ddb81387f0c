import ArgumentParser
import ModelFiles
import Terms
import Tokenization

/// `drover tokenize`: text to token ids and back, a line at a time.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turns lines of text into token ids, or back.",
        discussion: """
            One JSON line for each input line that ends in a line feed (a last line without one counts too):
            {"ids":[…]}, with --decode {"text":…}. The ids are those of Hugging Face's encode(line); --no-special leaves
            out what the tokenizer puts around a text. With --json-text each input line is a JSON string, so that a text
            may hold line feeds. --decode takes lines of ids: 1,2,3 or [1,2,3] or {"ids":[1,2,3]}.
            """)

    @Option(help: "Directory with the tokenizer's files; nothing else of it is read.")
    var model: String

    @Option(help: "The input; default: standard input.")
    var file = "-"

    @Flag(help: "The input is ids, the output text.")
    var decode = false

    @Flag(help: "Each input line is a text as a JSON string.")
    var jsonText = false

    @Flag(help: "No special tokens around the text; with --decode, none in it.")
    var noSpecial = false

    func run() throws {
        guard Disk.hasFolder(model) else {
            throw Failure.input("\(model) is no directory: give the path of a model or tokenizer directory")
        }
        let tokenizer = try ModelText(TokenizerFiles(directory: model)).tokenizer
        let name = file == "-" ? "standard input" : file
        try Lines.forEach(file) { line, number in
            if decode {
                let ids = try Self.ids(line, name, number)
                Output.json(.members(["text": .string(tokenizer.decode(ids, skipSpecialTokens: noSpecial))]))
            } else {
                let text = try jsonText ? Self.quoted(line, name, number) : Lines.text(line, name, number)
                let ids = tokenizer.encode(text, addSpecialTokens: !noSpecial)
                Output.line(bytes: Self.json(ids))
            }
            return !Output.isClosed
        }
    }

    /// The text of a line that is a JSON string.
    private static func quoted(_ line: [UInt8], _ name: String, _ number: Int) throws -> String {
        guard let text = try? JSONValue.parse(line).string else {
            throw Failure.input("\(name):\(number): expected a JSON string such as \"a text\"")
        }
        return text
    }

    /// `{"ids":[…]}`, written straight to bytes because files are long.
    static func json(_ ids: [Int32]) -> [UInt8] {
        var bytes = Array("{\"ids\":[".utf8)
        bytes.reserveCapacity(bytes.count + 7 * ids.count + 2)
        for (place, id) in ids.enumerated() {
            if place > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += String(id).utf8
        }
        return bytes + Array("]}".utf8)
    }

    /// The ids of a line: a JSON array, an object with `ids`, or numbers apart by commas or spaces.
    static func ids(_ line: [UInt8], _ name: String, _ number: Int) throws -> [Int32] {
        if let value = try? JSONValue.parse(line), let list = value.array ?? value["ids"]?.array {
            let ids = list.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
            if ids.count == list.count { return ids }
        } else if let ids = IDList.parse(String(decoding: line, as: UTF8.self)) {
            return ids
        }
        throw Failure.input("\(name):\(number): expected token ids such as [1,2,3]")
    }
}

/// Token ids as people write them.
enum IDList {
    /// Whole numbers from 0 apart by commas, spaces or both; nil for anything else.
    static func parse(_ text: String) -> [Int32]? {
        let words = text.split { $0 == "," || $0 == " " || $0 == "\t" || $0 == "\r" }
        let ids = words.compactMap { Int32($0) }
        return ids.count == words.count && ids.allSatisfy { $0 >= 0 } ? ids : nil
    }
}
