import Models
import Terms
import Testing

@testable import ModelFiles

@Suite struct AdapterMergeTests {
    let source = TemporaryFolder()
    let target = TemporaryFolder()

    /// W + s·B·A by the definition.
    func expected(
        _ module: AdaptedModule, _ weight: [Float], _ a: [Float], _ b: [Float], isTransposed: Bool
    ) -> [Float] {
        var result = weight
        for output in 0..<module.outputs {
            for input in 0..<module.inputs {
                var sum: Float = 0
                for k in 0..<module.rank { sum += b[output * module.rank + k] * a[k * module.inputs + input] }
                let place = isTransposed ? input * module.outputs + output : output * module.inputs + input
                result[place] += module.scale * sum
            }
        }
        return result
    }

    @Test(arguments: [TinyModel.qwen3, TinyModel.gpt2])
    func `a merged directory holds W plus s times B times A, everything else as it was`(json: String) throws {
        try TinyModel.write(json, in: source)
        source.write("{}", to: "tokenizer.json")
        let model = try ModelDirectory(path: source.path)
        let modules = try AdapterSpecification(rank: 3, alpha: 6).modules(of: model.configuration)
        let layout = ParameterLayout(adapter: modules)
        let factors = try LoadedWeights(layout.entries.map { TensorDescription(name: $0.name, shape: $0.shape) }) {
            index, memory in
            let entry = layout.entries[index]
            for element in 0..<entry.count { memory[element] = TinyModel.value(entry.name, element) }
        }

        try AdapterMerge.write(model, modules: modules, factors: factors.table, to: target.path)

        let merged = try ModelDirectory(path: target.path)
        let weights = try merged.loadWeights()
        for tensor in merged.table.tensors {
            let base = TinyModel.values(tensor.name, tensor.count)
            guard let module = modules.first(where: { $0.path + ".weight" == tensor.name }) else {
                #expect(weights.table.floats(tensor.name) == base)
                continue
            }
            let a = TinyModel.values(module.nameA, module.rank * module.inputs)
            let b = TinyModel.values(module.nameB, module.outputs * module.rank)
            let wanted = expected(module, base, a, b, isTransposed: json == TinyModel.gpt2)
            #expect(weights.table.floats(tensor.name) == wanted)
            #expect(wanted != base)
        }
        #expect(merged.tokenizer.names == ["tokenizer.json"])
        #expect(merged.configuration.original["torch_dtype"]?.string == "float32")
    }
}
