import Foundation
import Testing

/// House rules that no compiler checks.
struct TidyTests {
    /// Modules by layer, lowest first: an import points to a lower layer only.
    private static let layers: [[String]] = [
        ["CZeroMQ", "COpenBLAS", "COneDNN", "CKernels", "CSystem", "CHashing", "Terms"],
        ["Hashing", "Mappings"],
        ["Wire", "Collectives", "Budgeting", "Checkpoints", "Recipes", "Templates", "Tokenization", "Kernels"],
        ["JobSpecs", "Datasets", "Models"],
        ["Coordination", "Training", "ModelFiles"],
        ["ZeroMQShell", "StorageShell", "Simulation"],
        ["CoordinatorShell", "WorkerShell"],
        ["drover", "fuzz"],
    ]
    /// Modules whose results depend on their arguments alone.
    private static let pure: Set<String> = [
        "Terms", "Hashing", "Wire", "Collectives", "Budgeting", "Checkpoints", "Recipes", "Templates", "Tokenization",
        "Kernels", "JobSpecs", "Models", "Coordination", "Training", "Simulation",
    ]

    private static func layer(_ module: String) -> Int? { layers.firstIndex { $0.contains(module) } }

    /// `path:line` of every line of code that a pattern finds.
    private func places(_ files: [SourceTree.File], _ words: [String]) -> [String] {
        files.flatMap { file in
            file.code.filter { line in words.contains { line.text.contains($0) } }.map { "\(file.path):\($0.number)" }
        }
    }

    @Test func `the tree that is checked is the project's`() throws {
        let files = try SourceTree.files(below: "Sources")
        #expect(files.count > 200)
        #expect(Set(files.map(\.module)).subtracting(Self.layers.flatMap { $0 }) == [])
    }

    @Test func `imports point down`() throws {
        var wrong: [String] = []
        for file in try SourceTree.files(below: "Sources") {
            for (number, line) in file.code where line.contains("import ") {
                guard let match = line.firstMatch(of: /^(?:@testable )?(?:package |internal |public )?import (\w+)/),
                    let imported = Self.layer(String(match.1)), let own = Self.layer(file.module)
                else { continue }
                // Parts of one layer that build on each other: the wire on the tree's ranges.
                let isBesides = imported == own && file.module == "Wire" && match.1 == "Collectives"
                if imported >= own, !isBesides { wrong.append("\(file.path):\(number) imports \(match.1)") }
            }
        }
        #expect(wrong == [])
    }

    @Test func `pure modules read no clock, no environment and no chance`() throws {
        let files = try SourceTree.files(below: "Sources").filter { Self.pure.contains($0.module) }
        let ambient = [
            " Date()", "(Date()", ".random(", "clock_gettime", "ProcessInfo", "DispatchTime", "SystemRandom", "getenv(",
        ]
        #expect(places(files, ambient) == [])
    }

    @Test func `nothing traps without a sentence, nothing is left for later`() throws {
        let files = try SourceTree.files(below: "Sources")
        #expect(places(files, ["fatalError(", "try! ", " as! ", " print("]) == [])
        let marks = files.flatMap { file in
            file.lines.enumerated().filter { line in ["TODO", "FIXME", "HACK"].contains { line.element.contains($0) } }
                .map { "\(file.path):\($0.offset + 1)" }
        }
        #expect(marks == [])
    }

    @Test func `files are short enough to read`() throws {
        let files = try SourceTree.files(below: "Sources")
        #expect(files.filter { $0.lines.count > 500 }.map(\.path) == [])
        let lengths = files.map(\.lines.count).sorted()
        #expect(lengths[lengths.count / 2] <= 130)
    }

    @Test func `types say in a sentence what they are`() throws {
        var silent: [String] = []
        for file in try SourceTree.files(below: "Sources") {
            for (index, line) in file.lines.enumerated()
            where line.hasPrefix("package ") || line.hasPrefix("final ") || line.hasPrefix("struct ")
                || line.hasPrefix("enum ")
                || line.hasPrefix("class ") || line.hasPrefix("protocol ")
            {
                let words = line.split(separator: " ").drop { ["package", "final", "indirect"].contains($0) }
                guard ["class", "struct", "enum", "protocol"].contains(words.first ?? "") else { continue }
                var above = index - 1
                while above >= 0, file.lines[above].hasPrefix("@") { above -= 1 }
                if above < 0 || !file.lines[above].hasPrefix("///") { silent.append("\(file.path):\(index + 1)") }
            }
        }
        #expect(silent == [])
    }
}
