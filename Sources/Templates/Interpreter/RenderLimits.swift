/// What one rendering may cost; a template that goes beyond is stopped with a named error.
package struct RenderLimits: Sendable, Equatable {
    /// Statements, expressions and loop turns evaluated.
    package var steps = 5_000_000
    /// Bytes of all texts and lists that are built on the way, the output included.
    package var bytes = 256 << 20
    /// Nested blocks, expressions, macro calls and containers.
    package var depth = 200

    /// Limits that no honest template comes near.
    package init(steps: Int = 5_000_000, bytes: Int = 256 << 20, depth: Int = 200) {
        self.steps = steps
        self.bytes = bytes
        self.depth = depth
    }
}
