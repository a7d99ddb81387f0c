internal import CKernels

/// How one matrix product is cut into tasks. No cut changes a bit, so they may follow the team: see `gemm.h` for the
/// rule that each element keeps to.
struct GemmCuts {
    /// Rows of a task, at most `DK_GEMM_ROWS`; a multiple of 12.
    let rows: Int
    /// Columns of a task, a multiple of 32.
    let columns: Int
    /// Columns and k of a slab, whose packed B of at most 16 MiB is shared by all tasks.
    let slabColumns: Int, slabK: Int
    /// Whether B is packed once for all tasks; else each task packs its own part, because one block of rows is all
    /// there is.
    let shared: Bool

    private static let run = Int(DK_GEMM_K), rowsMax = Int(DK_GEMM_ROWS)
    private static let slabFloats = 4 << 20

    /// Cuts of C `[rows, columns]` over `k` for a team of `threads`.
    init(rows: Int, columns: Int, k: Int, threads: Int) {
        shared = rows > GemmCuts.rowsMax
        // A slab takes all of k if that leaves room for a task's columns, else all of the columns.
        slabColumns = k * 1024 <= GemmCuts.slabFloats ? max(1024, GemmCuts.slabFloats / max(1, k) / 32 * 32) : columns
        let runs = max(1, GemmCuts.slabFloats / padded(max(1, columns), to: 16) / GemmCuts.run)
        slabK = slabColumns < columns || !shared ? max(1, k) : runs * GemmCuts.run
        (self.rows, self.columns) = GemmCuts.task(rows: rows, columns: min(columns, slabColumns), threads: threads)
    }

    /// The task that lets the team finish first: a round costs the task's area, plus 24 columns' worth for packing its
    /// rows and 6 rows' worth for fetching its panels (fitted to measurements, coarse is enough).
    private static func task(rows: Int, columns: Int, threads: Int) -> (rows: Int, columns: Int) {
        var best = (cost: Int.max, rows: rowsMax, columns: 768)
        let fewest = max(1, blocks(rows, of: rowsMax))
        let narrowest = max(1, blocks(columns, of: 64))
        for down in fewest...max(fewest, min(fewest + 2 * threads, blocks(rows, of: 48))) {
            let height = padded(blocks(rows, of: down), to: 12)
            for across in max(1, blocks(columns, of: 768))...narrowest {
                let width = padded(blocks(columns, of: across), to: 32)
                let tasks = blocks(rows, of: height) * blocks(columns, of: width)
                let cost = blocks(tasks, of: threads) * (height + 6) * (width + 24)
                if cost < best.cost { best = (cost, height, width) }
            }
        }
        return (best.rows, best.columns)
    }
}

extension Compute {
    /// `C[rows, columns] (+)= A · B + bias`, as `gemm` says, in this arithmetic.
    ///
    /// C has memory for `room` rows; native products may write behind `rows`. `copies` keeps what they make of B.
    func multiply(_ gemm: dk_gemm, rows: Int, room: Int = 0, copies: PackedCopies? = nil) {
        guard rows > 0, gemm.columns > 0 else { return }
        var gemm = gemm
        if arithmetic == .bf16 {
            if let native, native.run(gemm, rows: rows, room: room, copies: copies, self) { return }
            gemm.rounded = 1
        }
        let cuts = GemmCuts(rows: rows, columns: gemm.columns, k: gemm.k, threads: team.threads)
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
        let run = Int(DK_GEMM_K)
        let width = padded(gemm.columns, to: 16)
        let step = 256
        let panels = team.scratch.floats(width * gemm.k)
        let across = blocks(gemm.columns, of: step)
        let kernels = kernels
        withUnsafePointer(to: gemm) { gemm in
            team.share(across * blocks(gemm.pointee.k, of: run)) { task in
                let k0 = task / across * run
                let column = task % across * step
                let k = min(run, gemm.pointee.k - k0)
                kernels.pointee.gemm_pack(
                    panels + k0 * width + column * k, gemm, k0, k, column, min(gemm.pointee.columns, column + step))
            }
        }
        return UnsafePointer(panels)
    }

    private func shareTasks(_ gemm: dk_gemm, rows: Int, _ cuts: GemmCuts, packed: UnsafePointer<Float>?) {
        let across = blocks(gemm.columns, of: cuts.columns)
        let kernels = kernels
        withUnsafePointer(to: gemm) { gemm in
            team.share(across * blocks(rows, of: cuts.rows)) { task in
                let row = task / across * cuts.rows
                let column = task % across * cuts.columns
                kernels.pointee.gemm_block(
                    gemm, packed, row, min(rows, row + cuts.rows), column,
                    min(gemm.pointee.columns, column + cuts.columns))
            }
        }
    }
}

extension dk_gemm {
    /// `C (+)= A · B + bias` with operands that are rounded or not as `Compute.multiply` decides.
    init(
        c: UnsafeMutablePointer<Float>, a: UnsafePointer<Float>, b: Matrix, bias: UnsafePointer<Float>? = nil,
        ldc: Int, lda: Int, ldb: Int, k: Int, columns: Int, aTransposed: Bool = false, bTransposed: Bool = false,
        accumulate: Bool
    ) {
        self.init(
            c: c, a: a, b: nil, b_bf16: nil, bias: bias, ldc: ldc, lda: lda, ldb: ldb, k: k, columns: columns,
            a_transposed: aTransposed ? 1 : 0, b_transposed: bTransposed ? 1 : 0, accumulate: accumulate ? 1 : 0,
            rounded: 0)
        switch b.memory {
        case .fp32(let pointer): self.b = pointer
        case .bf16(let pointer): b_bf16 = pointer
        }
    }

    /// The part of the product over some columns and some of k (from a multiple of `DK_GEMM_K` on); later parts of k
    /// add.
    fileprivate func slab(columns: Range<Int>, k: Range<Int>) -> dk_gemm {
        var part = self
        part.c += columns.lowerBound
        part.a += a_transposed != 0 ? k.lowerBound * lda : k.lowerBound
        let shift =
            b_transposed != 0 ? columns.lowerBound * ldb + k.lowerBound : k.lowerBound * ldb + columns.lowerBound
        part.b = b.map { $0 + shift }
        part.b_bf16 = b_bf16.map { $0 + shift }
        part.bias = k.lowerBound == 0 ? bias.map { $0 + columns.lowerBound } : nil
        part.accumulate = k.lowerBound == 0 ? accumulate : 1
        part.k = k.count
        part.columns = columns.count
        return part
    }
}
