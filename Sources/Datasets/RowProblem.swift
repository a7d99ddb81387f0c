/// Why one row can't be used; the reader adds file and line.
package struct RowProblem: Error, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}
