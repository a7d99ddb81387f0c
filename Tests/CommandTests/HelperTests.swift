import ArgumentParser
import Datasets
import JobSpecs
import ModelFiles
import StorageShell
import Terms
import Testing
import Tokenization

@testable import drover

@Suite struct HelperTests {
    @Test func `token ids are read with commas, spaces or both`() {
        #expect(IDList.parse("1,2,3") == [1, 2, 3])
        #expect(IDList.parse(" 1, 2 3 ") == [1, 2, 3])
        #expect(IDList.parse("") == [])
        #expect(IDList.parse("1,x") == nil)
        #expect(IDList.parse("-1") == nil)
        #expect(IDList.parse("99999999999") == nil)
    }

    @Test func `memory is written with or without a unit of 1024`() {
        func bytes(_ text: String) -> Int? { MemorySize(argument: text)?.bytes }
        #expect(bytes("8g") == 8 << 30 && bytes("8 GiB") == 8 << 30 && bytes("1.5GB") == 3 << 29)
        #expect(bytes("512M") == 512 << 20 && bytes("4096") == 4096 && bytes("64k") == 64 << 10)
        for wrong in ["", "g", "0", "-1g", "8x", "8 g g", "1e30t", "0.1"] { #expect(bytes(wrong) == nil, "\(wrong)") }
    }

    @Test func `lines of ids come in three shapes`() throws {
        for line in ["[1,2]", #"{"ids":[1,2]}"#, "1 2", "1,2\r"] {
            #expect(try Tokenize.ids(Array(line.utf8), "f", 1) == [1, 2])
        }
        #expect(throws: Failure.input("f:3: expected token ids such as [1,2,3]")) {
            try Tokenize.ids(Array("[1,\"a\"]".utf8), "f", 3)
        }
    }

    @Test func `ids are written as compact JSON`() {
        #expect(String(decoding: Tokenize.json([]), as: UTF8.self) == #"{"ids":[]}"#)
        #expect(String(decoding: Tokenize.json([5, 151_643]), as: UTF8.self) == #"{"ids":[5,151643]}"#)
    }

    @Test func `a checkpoint is named by its run, a step or its manifest`() throws {
        let name = "000000000006-00000001-8aa6255a6fd678e2.json"
        let newest = try RunFolder.split("runs/a")
        #expect(newest.run == "runs/a" && newest.wanted == .newest)
        let step = try RunFolder.split("runs/a@20")
        #expect(step.run == "runs/a" && step.wanted == .step(20))
        let file = try RunFolder.split("runs/a/checkpoints/runs/main/manifests/" + name)
        #expect(file.run == "runs/a" && file.wanted != .newest)
        #expect(throws: Failure.self) { try RunFolder.split("runs/a@x") }
    }

    @Test func `bad input is exit code 2, a broken world 1`() {
        #expect(Failure.exitCode(Failure.input("x")) == 2)
        #expect(Failure.exitCode(Failure.failed("x")) == 1)
        #expect(Failure.exitCode(CancellationError()) == 130)
        #expect(Failure.exitCode(DatasetError.noRows(paths: ["a"])) == 2)
        #expect(Failure.exitCode(DatasetError.unwritable(path: "a", reason: "b")) == 1)
        #expect(Failure.exitCode(ModelFileError.missingFile(path: "a", advice: "b")) == 2)
        #expect(Failure.exitCode(ModelFileError.system(path: "a", operation: "write", code: 28)) == 1)
        #expect(Failure.exitCode(ModelFileError.system(path: "a", operation: "read", code: 2)) == 2)
    }

    @Test func `columns of a table stand under each other`() {
        let table = Output.table(["NAME", "SIZE"], [["a", "5"], ["long", "12"]])
        #expect(table == "NAME  SIZE\na        5\nlong    12")
    }

    @Test func `advice about a job at rest names what helps`() {
        #expect(LiveView.advice("DONE", run: "run") == nil && LiveView.advice("CANCELLED", run: "run") == nil)
        #expect(LiveView.advice("PAUSED", run: "run") == "go on with: drover resume run")
        #expect(LiveView.advice("BUDGET_EXHAUSTED", run: "run")?.contains("drover budget add run") == true)
        // The same steps diverge again: only other steps help.
        let shared = LiveView.advice("BUDGET_EXHAUSTED", run: "3 --coordinator h:1", project: "shop")
        #expect(
            shared
                == "grant more with: drover budget add shop --coordinator h:1 AMOUNT\ngo on with: drover resume 3 --coordinator h:1"
        )
        #expect(LiveView.advice("DIVERGED", run: "run")?.contains("drover resume run --from STEP --as NAME") == true)
        #expect(LiveView.advice("DIVERGED", run: "1 --coordinator h:1")?.contains("drover resume") == false)
    }

    @Test func `a damaged journal's way out is a command that exists`() throws {
        let text = StorageError.journalDamaged(path: "p", problem: "q").description
        let words = text.split(whereSeparator: { " `".contains($0) })
        let commands = Set(Drover.configuration.subcommands.map { "\($0)".lowercased() })
        let named = zip(words, words.dropFirst()).filter { $0.0 == "drover" }.map { String($0.1) }
        #expect(!named.isEmpty && named.allSatisfy(commands.contains))
    }

    @Test func `sizes have a unit that leaves a small number`() {
        #expect(Output.bytes(1023) == "1023 B")
        #expect(Output.bytes(1024) == "1.0 KiB")
        #expect(Output.bytes(3 << 29) == "1.5 GiB")
    }

    @Test func `samples are counted by length, with what packing saves`() {
        var stats = SampleStats(cutoff: 4)
        for length in [4, 1, 3, 2, 5, 2] {
            [Int32](repeating: 1, count: 2 * length).withUnsafeBufferPointer {
                stats.add(count: length, trained: length - 1, payload: $0)
            }
        }
        let json = stats.json
        #expect(
            json["shortest"]?.int == 1 && json["p50"]?.int == 2 && json["p90"]?.int == 5 && json["longest"]?.int == 5)
        #expect(json["tokens"]?.int == 17 && json["trained_tokens"]?.int == 11 && json["untrained_samples"]?.int == 1)
        #expect(json["duplicates"]?.int == 1)
        #expect(json["too_long"]?.int == 1 && json["too_long_trained_tokens"]?.int == 4)
        #expect(json["packed_sequences"]?.int == 3 && json["packing_fill"]?.double == 1)
    }

    @Test func `trained stretches are marked where colours are not`() {
        struct Letters: TextEncoder {
            var endOfText: Int32? { nil }
            var addedTokens: [AddedToken] { [] }
            func document(_ text: String) -> [Int32] { text.unicodeScalars.map { Int32($0.value) } }
            func piece(_ text: String, after place: PiecePlace) -> [Int32] { document(text) }
            func text(of ids: [Int32]) -> String {
                String(String.UnicodeScalarView(ids.compactMap { Unicode.Scalar(UInt32($0)) }))
            }
        }
        let sample = Sample(ids: [97, 98, 99, 100], labels: [-100, 98, 99, -100])
        #expect(DataCommand.Preview.marked(sample, Letters(), isColoured: false) == "a⟦bc⟧d")
    }

    @Test func `the texts of a row are its contents, not its roles`() throws {
        let row = try JSONValue.parse(
            #"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}],"text":"t"}"#)
        #expect(TokenizerCommand.Train.texts(of: row) == ["hi", "yo", "t"])
    }

    @Test func `the test text of a step is the generator's`() {
        // x₁ of sequence 0: 6364136223846793005 + 1442695040888963407, its high bits modulo the words.
        let first = (UInt64(6_364_136_223_846_793_005) &+ 1_442_695_040_888_963_407) >> 33
        #expect(StepBench.sequence(0, count: 3, vocabulary: 50_257).first == Int32(first % 1000))
        #expect(StepBench.sequence(5, count: 100, vocabulary: 7).allSatisfy { (0..<7).contains($0) })
        #expect(StepBench.sequence(1, count: 8, vocabulary: 99) != StepBench.sequence(2, count: 8, vocabulary: 99))
    }

    @Test func `the benchmark's documents of mixed length are those of the program it is compared with`() {
        // As pytorch_step.py's `length` gives them.
        let lengths = (0..<12).map { StepBench.length($0, most: 512) }
        #expect(lengths == [16, 357, 55, 16, 469, 16, 33, 18, 243, 23, 443, 46])
        #expect((0..<6).map { StepBench.length($0, most: 2048) } == [16, 1416, 179, 16, 1874, 18])
        #expect((0..<1000).reduce(0) { $0 + StepBench.length($1, most: 512) } == 134_694)
    }

    @Test func `medians are those of the sorted values`() {
        #expect(Measuring.median([3, 1, 2]) == 2)
        #expect(Measuring.median([4, 1, 3, 2]) == 2.5)
        #expect(Measuring.median([]) == 0)
    }
}
