import CKernels
import Kernels
import Testing

@Suite struct EmbeddingTests {
    @Test(arguments: [(1, 1), (5, 7), (9, 33), (130, 257), (300, 16)])
    func `rows go out by id and their gradients come back`(
        rows: Int, width: Int
    ) {
        var numbers = Numbers(1)
        let table = numbers.floats(11 * width)
        let ids = numbers.ids(rows, below: 11)
        let dy = numbers.floats(rows * width)
        let fast = everywhere { compute in
            var (y, dtable) = (dy, table)
            compute.gather(&y, table: table, ids: ids, rows: rows, width: width)
            compute.scatterAdd(&dtable, dy, ids: ids, rows: rows, width: width)
            return [y, dtable]
        }
        var (y, dtable) = (dy, table)
        dk_gather_f32_reference(&y, table, ids, rows, width)
        dk_scatter_add_f32_reference(&dtable, dy, ids, rows, width)
        // Token order is the rule, so the reference is equal to the bit.
        #expect(bits(fast) == bits([y, dtable]))
    }
}
