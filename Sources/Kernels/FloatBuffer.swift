internal import CKernels

/// fp32 memory, 64-byte aligned, zeroed, huge-page advised; freed with its owner.
package final class FloatBuffer: @unchecked Sendable {
    /// Elements, not bytes.
    package let count: Int
    /// The first element.
    package let pointer: UnsafeMutablePointer<Float>
    private let bytes: Int

    /// Zeroed memory for `count` elements.
    package init(count: Int) {
        precondition(count >= 0, "a buffer cannot have \(count) elements")
        bytes = count * MemoryLayout<Float>.stride
        guard let memory = dk_memory_create(bytes) else { preconditionFailure("no memory for \(bytes) bytes") }
        self.count = count
        pointer = memory.bindMemory(to: Float.self, capacity: count)
    }

    deinit { dk_memory_destroy(pointer, bytes) }
}

/// Memory that grows to the largest request and is kept, so that nothing is allocated in steady state.
///
/// What it held before is lost by every request.
package final class Workspace: @unchecked Sendable {
    private var buffer = FloatBuffer(count: 0)

    /// An empty workspace.
    package init() {}

    /// At least `count` floats, 64-byte aligned, contents undefined; valid until the next request.
    package func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        if count > buffer.count { buffer = FloatBuffer(count: count) }
        return buffer.pointer
    }
}
