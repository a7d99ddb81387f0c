import ArgumentParser
import Dispatch
import ModelFiles
import Terms
import Tokenization

/// `drover bench tokenize`: how fast text becomes tokens.
struct BenchTokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Times the encoding of a text file, on one thread and on all.")

    @Option(help: "Directory with the tokenizer's files.")
    var model: String
    @Option(help: "A UTF-8 text file.")
    var file: String
    @Option(help: "Threads; default: every core.")
    var threads: Int?
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws { try MachineOptions.check(threads: threads) }

    func run() throws {
        guard Disk.hasFolder(model) else { throw Failure.input("\(model) is no directory: give a tokenizer's") }
        let tokenizer = try ModelText(TokenizerFiles(directory: model)).tokenizer
        var texts: [String] = []
        let reading = try Measuring.seconds { texts = try Lines.read(file) }
        let bytes = texts.reduce(0) { $0 + $1.utf8.count + 1 }
        guard bytes > 1 else { throw Failure.input("\(file): holds no text") }
        let threads = threads ?? MachineOptions.cores
        var tokens = 0
        let one = Measuring.best(budget: 2) { tokens = tokenizer.encodeBatch(texts).reduce(0) { $0 + $1.count } }
        let all = Measuring.best(budget: 2) {
            _ = tokenizer.encodeBatch(texts) { count, body in Self.share(count, threads, body) }
        }
        let summary = JSONValue.members([
            "bench": .string("tokenize"), "bytes": .int(bytes), "lines": .int(texts.count), "tokens": .int(tokens),
            "threads": .int(threads), "bytes_per_second": .double(Double(bytes) / all),
            "single_thread_bytes_per_second": .double(Double(bytes) / one),
            "bytes_per_token": .double(Double(bytes) / Double(max(1, tokens))),
            "single_thread_mb_per_second": .double(Double(bytes) / one / 1e6),
            "single_thread_tokens_per_second": .double(Double(tokens) / one),
            "mb_per_second": .double(Double(bytes) / all / 1e6), "tokens_per_second": .double(Double(tokens) / all),
            "read_ceiling_mb_per_second": .double(Double(bytes) / reading / 1e6),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    private static func share(_ count: Int, _ threads: Int, _ body: @Sendable (Int) -> Void) {
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for index in stride(from: thread, to: count, by: threads) { body(index) }
        }
    }
}
