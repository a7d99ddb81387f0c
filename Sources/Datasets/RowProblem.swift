/// Why one row can't be used; the reader adds file and line.
package struct RowProblem: Error, Equatable, CustomStringConvertible {
    /// One sentence: what is wrong and, when it can be told, what to do.
    package var description: String
    /// A problem in one sentence.
    package init(_ description: String) { self.description = description }
}
