/// All arithmetic of a model on fp32 memory, shared out over one team.
///
/// Tensors are row-major; T = tokens (`rows`), D = width, H = heads, hd = head width, V = vocabulary. Results are the same
/// bits for any number of threads. Outputs must not overlap inputs unless an op says so.
package struct Compute: Sendable {
    /// The threads that work.
    package let team: Team

    /// Ops on `team`.
    package init(team: Team) { self.team = team }
}

/// Which dimensions of a head turn together.
package enum RotaryLayout: Sendable {
    /// Dimension i with i + rotary/2 (GPT-NeoX, Llama in Hugging Face layout, Qwen).
    case half
    /// Dimension 2i with 2i + 1 (GPT-J).
    case interleaved
}
