import ArgumentParser
import ModelFiles
import Terms
import Tokenization

/// `drover tokenizer`: vocabularies of one's own.
struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Learns a vocabulary from text.", subcommands: [Train.self])

    /// Byte-level BPE over text files.
    struct Train: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Learns a byte-level BPE vocabulary and writes tokenizer.json and tokenizer_config.json.",
            discussion: """
                Of .jsonl files every string in a row's text, content, instruction, input, output, prompt or completion
                counts, of others every line. The same files in the same order give the same bytes. The chat template is
                ChatML.
                """,
            aliases: ["learn"])

        @Option(parsing: .upToNextOption, help: "Text or JSONL files.")
        var files: [String]

        @Option(
            name: [.customLong("vocab-size"), .customLong("vocabulary-size")],
            help: "Tokens in all: 256 bytes, merges, special tokens.")
        var vocabSize: Int

        @Option(help: "The folder to make.")
        var out: String

        @Option(help: "What the model will be made for, in tokens.")
        var contextLength = 2048

        func validate() throws {
            guard !files.isEmpty else { throw ValidationError("--files needs a file") }
            guard (256 + 3...1 << 20).contains(vocabSize) else {
                throw ValidationError("--vocab-size must be in 259…1048576")
            }
        }

        func run() throws {
            var trainer = BPETrainer(BPETrainer.Options(vocabularySize: vocabSize))
            for file in files { try read(file) { trainer.add($0) } }
            let vocabulary = trainer.train()
            let staging = try Staging(target: out)
            do {
                try Disk.write(vocabulary.tokenizerJSON, to: joinPath(staging.path, "tokenizer.json"))
                try Disk.write(
                    vocabulary.configJSON(contextLength: contextLength),
                    to: joinPath(staging.path, "tokenizer_config.json"))
                try staging.publish()
            } catch {
                staging.discard()
                throw error
            }
            Output.line("\(out): \(vocabulary.count) tokens")
            if vocabulary.count < vocabSize {
                Output.note("drover: no more pairs occur twice in the text, so there are fewer tokens than asked for")
            }
        }

        private func read(_ file: String, _ add: (String) -> Void) throws {
            let isRows = file.hasSuffix(".jsonl")
            try Lines.forEach(file) { line, number in
                let text = try Lines.text(line, file, number)
                guard isRows else {
                    add(text + "\n")
                    return true
                }
                guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) else { return true }
                let row: JSONValue
                do { row = try JSONValue.parse(line) } catch {
                    throw Failure.input("\(file):\(number): not valid JSON: \(error)")
                }
                Self.texts(of: row).forEach(add)
                return true
            }
        }

        private static let keys: Set<String> = [
            "text", "content", "instruction", "input", "output", "prompt", "completion",
        ]

        /// The texts of a row in the order written, deep inside its lists too.
        static func texts(of value: JSONValue) -> [String] {
            switch value {
            case .array(let list): list.flatMap(texts)
            case .object(let object):
                object.members.flatMap { key, value in
                    keys.contains(key) ? value.string.map { [$0] } ?? texts(of: value) : texts(of: value)
                }
            default: []
            }
        }
    }
}
