/// The ids that encoding with special tokens puts around a text.
struct PostProcessor: Sendable, Equatable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []
}
