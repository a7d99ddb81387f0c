import ArgumentParser
import Kernels
import ModelFiles
import Models
import Terms

/// `drover bench gemm`: matrix products in the shapes of a model.
struct BenchGemm: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm", abstract: "Times the matrix products of a model's layers, forward and both gradients.",
        discussion: "Without --config the shapes are those of GPT-2 with 124 million parameters.")

    @Option(help: "config.json of the model.")
    var config: String?

    @Option(help: "Tokens of a micro-batch.")
    var rows = 1024

    @OptionGroup var machine: MachineOptions

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard (1...1 << 20).contains(rows) else { throw ValidationError("--rows must be in 1…1048576") }
    }

    /// A matrix by its role.
    struct Shape: Equatable {
        var name: String
        var inputs: Int
        var outputs: Int
    }

    func run() throws {
        let compute = machine.compute()
        let shapes = try Self.shapes(config)
        let ceiling = Ceiling.gemm(compute)
        var results: [JSONValue] = []
        var lines: [[String]] = []
        for shape in shapes {
            let times = ProductTimes(rows: rows, inputs: shape.inputs, outputs: shape.outputs, compute)
            let flops = 2 * Double(rows) * Double(shape.inputs) * Double(shape.outputs)
            let rates = [times.forward, times.inputGradient, times.weightGradient].map { flops / $0 / 1e9 }
            let by = Self.implementation(compute, rows: rows, shape)
            results.append(
                .members([
                    "name": .string(shape.name), "rows": .int(rows), "inputs": .int(shape.inputs),
                    "outputs": .int(shape.outputs), "forward_gflops": .double(rates[0]),
                    "input_gradient_gflops": .double(rates[1]), "weight_gradient_gflops": .double(rates[2]),
                    "efficiency": .double(Measuring.median(rates) / ceiling.gigaflops), "implementation": .string(by),
                ]))
            let size = "\(rows)×\(shape.inputs)×\(shape.outputs)"
            lines.append([shape.name, size] + rates.map { String(Int($0)) } + [by])
        }
        guard json else {
            Output.line(Output.table(["LAYER", "SHAPE", "FORWARD", "DX", "DW", "BY"], lines))
            return Output.line(
                "GFLOP/s; ceiling \(Int(ceiling.gigaflops)) (\(ceiling.library)) on \(compute.team.threads) threads")
        }
        Output.json(
            .members([
                "bench": .string("gemm"), "precision": .string(machine.arithmetic.rawValue),
                "threads": .int(compute.team.threads),
                "gemm_ceiling_gflops": .double(ceiling.gigaflops), "gemm_ceiling_library": .string(ceiling.library),
                "results": .array(results),
            ]))
    }

    /// Who computes the products of a shape: oneDNN's name for what it chose, or Drover.
    private static func implementation(_ compute: Compute, rows: Int, _ shape: Shape) -> String {
        guard compute.arithmetic == .bf16, Compute.hasNativeBF16 else { return "drover" }
        return NativeProducts.implementation(rows: min(256, rows), inputs: shape.inputs, outputs: shape.outputs)
            ?? "drover"
    }

    /// The distinct matrices of a block, and the head.
    static func shapes(_ config: String?) throws -> [Shape] {
        guard let config else {
            return [
                Shape(name: "attn.c_attn", inputs: 768, outputs: 2304),
                Shape(name: "attn.c_proj", inputs: 768, outputs: 768),
                Shape(name: "mlp.c_fc", inputs: 768, outputs: 3072),
                Shape(name: "mlp.c_proj", inputs: 3072, outputs: 768),
                Shape(name: "lm_head", inputs: 768, outputs: 50_257),
            ]
        }
        let configuration = try ModelDirectory.readConfiguration(config)
        var shapes: [Shape] = []
        for module in configuration.linearModules(layer: 0) {
            let name = module.path.split(separator: ".").suffix(2).joined(separator: ".")
            let shape = Shape(name: name, inputs: module.inputs, outputs: module.outputs)
            let isKnown = shapes.contains { $0.inputs == shape.inputs && $0.outputs == shape.outputs }
            if !isKnown { shapes.append(shape) }
        }
        return shapes + [Shape(name: "lm_head", inputs: configuration.width, outputs: configuration.vocabulary)]
    }
}

/// `drover bench attention`: causal attention inside documents.
struct BenchAttention: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attention", abstract: "Times attention, forward and backward.")

    @Option(help: "Tokens of a document.")
    var seq = 1024
    @Option(help: "Documents of a micro-batch.")
    var documents = 1
    @Option(help: "Query heads.")
    var heads = 12
    @Option(help: "Key and value heads; default: as many.")
    var kvHeads: Int?
    @Option(help: "Dimensions of a head.")
    var headWidth = 64
    @OptionGroup var machine: MachineOptions
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        let shared = kvHeads ?? heads
        let most = 1 << 20
        guard (1...most).contains(seq), (1...most / seq).contains(documents), (1...4096).contains(heads),
            (1...1024).contains(headWidth)
        else {
            throw ValidationError(
                "--seq and --documents must be at least 1, together at most \(most) tokens, --heads in 1…4096, --head-width "
                    + "in 1…1024")
        }
        guard shared >= 1, heads % shared == 0 else {
            throw ValidationError("--heads must be a multiple of --kv-heads")
        }
    }

    func run() throws {
        let compute = machine.compute()
        let (rows, kvHeads) = (seq * documents, kvHeads ?? heads)
        let starts = (0..<documents).map { Int32($0 * seq) }
        let scale = 1 / Float(headWidth).squareRoot()
        let (wide, narrow) = (rows * heads * headWidth, rows * kvHeads * headWidth)
        let (q, k, v) = (Measuring.filled(wide), Measuring.filled(narrow, seed: 2), Measuring.filled(narrow, seed: 3))
        let (out, lse) = (FloatBuffer(count: wide), FloatBuffer(count: heads * rows))
        let dout = Measuring.filled(wide, seed: 4)
        let (dq, dk, dv) = (FloatBuffer(count: wide), FloatBuffer(count: narrow), FloatBuffer(count: narrow))
        let forward = Measuring.best {
            compute.attention(
                out.pointer, lse: lse.pointer, q: q.pointer, k: k.pointer, v: v.pointer, documents: starts, rows: rows,
                heads: heads, kvHeads: kvHeads, headWidth: headWidth, scale: scale, window: nil)
        }
        let backward = Measuring.best {
            compute.attentionBackward(
                dq: dq.pointer, dk: dk.pointer, dv: dv.pointer, dout: dout.pointer, out: out.pointer, lse: lse.pointer,
                q: q.pointer, k: k.pointer, v: v.pointer, documents: starts, rows: rows, heads: heads, kvHeads: kvHeads,
                headWidth: headWidth, scale: scale, window: nil)
        }
        let ceiling = Ceiling.gemm(compute)
        // Two products forward and five backward, over the half of the square that causality leaves.
        let product = Double(documents * heads * headWidth) * Double(seq) * Double(seq + 1)
        let rates = (forward: 2 * product / forward / 1e9, backward: 5 * product / backward / 1e9)
        let summary = JSONValue.members([
            "bench": .string("attention"), "seq": .int(seq), "documents": .int(documents), "heads": .int(heads),
            "kv_heads": .int(kvHeads), "head_width": .int(headWidth), "threads": .int(compute.team.threads),
            "forward_seconds": .double(forward), "backward_seconds": .double(backward),
            "forward_gflops": .double(rates.forward), "backward_gflops": .double(rates.backward),
            "gemm_ceiling_gflops": .double(ceiling.gigaflops),
            "efficiency": .double((2 + 5) * product / (forward + backward) / 1e9 / ceiling.gigaflops),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }
}
