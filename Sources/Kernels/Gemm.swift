internal import CKernels

/// How one matrix product is cut into tasks. No cut changes a bit: see `gemm.h` for the rule each element follows.
struct GemmCuts {
    /// Rows of a task, at most `DK_GEMM_ROWS`; a multiple of 12.
    let rows: Int
    /// Columns of a task, a multiple of 32.
    let columns: Int
    /// Columns and k of a slab, whose packed B of at most 16 MiB is shared by all tasks.
    let slabColumns: Int, slabK: Int
    /// Whether B is packed once for all tasks; else each task packs its own part, because one block of rows is all there is.
    let shared: Bool

    private static let run = Int(DK_GEMM_K), rowsMax = Int(DK_GEMM_ROWS)
    private static let slabFloats = 4 << 20

    /// Cuts for C `[rows, columns]` over `k`: about 32 tasks or more where the shape has them.
    init(rows: Int, columns: Int, k: Int) {
        let rowBlocks = max(1, blocks(rows, of: GemmCuts.rowsMax))
        self.rows = padded(max(1, blocks(rows, of: rowBlocks)), to: 12)
        shared = rowBlocks > 1
        // A slab takes all of k if that leaves room for a task's columns, else all of the columns.
        slabColumns = k * 1024 <= GemmCuts.slabFloats ? max(1024, GemmCuts.slabFloats / max(1, k) / 32 * 32) : columns
        slabK = slabColumns < columns || !shared ? k : max(1, GemmCuts.slabFloats / padded(columns, to: 16) / GemmCuts.run) * GemmCuts.run
        let width = min(columns, slabColumns)
        let wanted = max(blocks(32, of: rowBlocks), blocks(width, of: 1024))
        let columnBlocks = max(1, min(wanted, blocks(width, of: 128)))
        self.columns = padded(blocks(width, of: columnBlocks), to: 32)
    }
}

extension Compute {
    /// `C[rows, columns] (+)= A · B + bias`, as `gemm` says.
    func multiply(_ gemm: dk_gemm, rows: Int) {
        guard rows > 0, gemm.columns > 0 else { return }
        let cuts = GemmCuts(rows: rows, columns: gemm.columns, k: gemm.k)
        guard cuts.shared else { return shareTasks(gemm, rows: rows, cuts, packed: nil) }
        for column in stride(from: 0, to: gemm.columns, by: cuts.slabColumns) {
            for k in stride(from: 0, to: max(1, gemm.k), by: cuts.slabK) {
                let slab = gemm.slab(
                    columns: column..<min(gemm.columns, column + cuts.slabColumns), k: k..<min(gemm.k, k + cuts.slabK))
                shareTasks(slab, rows: rows, cuts, packed: pack(slab))
            }
        }
    }

    /// Packs all of B, run after run, into the team's scratch.
    private func pack(_ gemm: dk_gemm) -> UnsafePointer<Float> {
        let run = Int(DK_GEMM_K), width = padded(gemm.columns, to: 16), step = 256
        let panels = team.scratch.floats(width * gemm.k)
        let across = blocks(gemm.columns, of: step), kernels = kernels
        withUnsafePointer(to: gemm) { gemm in
            team.share(across * blocks(gemm.pointee.k, of: run)) { task in
                let k0 = task / across * run, column = task % across * step
                let k = min(run, gemm.pointee.k - k0)
                kernels.pointee.gemm_pack(
                    panels + k0 * width + column * k, gemm, k0, k, column, min(gemm.pointee.columns, column + step))
            }
        }
        return UnsafePointer(panels)
    }

    private func shareTasks(_ gemm: dk_gemm, rows: Int, _ cuts: GemmCuts, packed: UnsafePointer<Float>?) {
        let across = blocks(gemm.columns, of: cuts.columns), kernels = kernels
        withUnsafePointer(to: gemm) { gemm in
            team.share(across * blocks(rows, of: cuts.rows)) { task in
                let row = task / across * cuts.rows, column = task % across * cuts.columns
                kernels.pointee.gemm_block(
                    gemm, packed, row, min(rows, row + cuts.rows), column,
                    min(gemm.pointee.columns, column + cuts.columns))
            }
        }
    }
}

extension dk_gemm {
    /// The part of the product over some columns and some of k (from a multiple of `DK_GEMM_K` on); later parts of k add.
    fileprivate func slab(columns: Range<Int>, k: Range<Int>) -> dk_gemm {
        var part = self
        part.c += columns.lowerBound
        part.a += a_transposed != 0 ? k.lowerBound * lda : k.lowerBound
        part.b += b_transposed != 0 ? columns.lowerBound * ldb + k.lowerBound : k.lowerBound * ldb + columns.lowerBound
        part.bias = k.lowerBound == 0 ? bias.map { $0 + columns.lowerBound } : nil
        part.accumulate = k.lowerBound == 0 ? accumulate : 1
        part.k = k.count
        part.columns = columns.count
        return part
    }
}
