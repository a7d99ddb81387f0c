internal import CKernels
internal import COneDNN
internal import Glibc
internal import Synchronization

/// Matrix products by oneDNN, for processors that multiply bf16: a thread of ours runs a block alone, on packed
/// weights.
///
/// How a product is cut depends on its shape alone. Rows of C are cut in blocks of fixed heights, zero-padded at the
/// end; a height other than the smallest is used only after it has been seen to give the same bits, so that a row has
/// the bits it has among others. Weight gradients are cut in fixed runs of tokens, added in order. A shape that the
/// library does not take is left to the caller, on every machine with the same library alike.
package final class NativeProducts: @unchecked Sendable {
    /// What operands are made of; fp32 takes the same path on machines without bf16, for tests.
    package enum Operands: Sendable { case bf16, fp32 }

    /// Whether this machine's instruction set has bf16 products, and the library uses them and runs them on the thread
    /// that asks.
    package static let isSupported: Bool = {
        let wanted = Int32(0xE7)
        guard odn_instructions() & wanted == wanted, odn_runs_alone() != 0 else { return false }
        var product = odn_product()
        guard odn_product_create(&product, 256, 64, 64, 0, 0, 1, nil) == 0 else { return false }
        odn_product_destroy(&product)
        return true
    }()

    /// The library's version, for people.
    package static var libraryVersion: String {
        let version = Int(odn_version())
        return "\(version / 10_000).\(version / 100 % 100).\(version % 100)"
    }

    /// What the library calls its implementation of bf16 products, as it chooses it for an ordinary shape; nil where it
    /// has none.
    package static let implementation: String? =
        isSupported ? implementation(rows: 256, inputs: 1024, outputs: 1024) : nil

    /// The same for one product of `rows` rows; nil where the library refuses it.
    package static func implementation(rows: Int, inputs: Int, outputs: Int) -> String? {
        var product = odn_product()
        guard odn_product_create(&product, rows, outputs, inputs, 0, 0, 1, nil) == 0 else { return nil }
        defer { odn_product_destroy(&product) }
        return String(cString: odn_implementation(&product))
    }

    let operands: Operands
    let threads: Int
    private var shapes: [ProductShape.Key: ProductShape] = [:]
    /// Packed matrices that serve one product only.
    let transient = Workspace()
    /// Rows of A as operands, of products whose blocks share them.
    let stagedRows = Workspace()
    private let next = Atomic(0)

    /// Products for a team of `threads`.
    package init(_ operands: Operands, threads: Int) {
        (self.operands, self.threads) = (operands, threads)
    }

    /// Bytes of an operand's element.
    var width: Int { operands == .bf16 ? 2 : 4 }

    /// What the arithmetic depends on beside the results of a probe: library, instruction set, what the library chose,
    /// and the caches by whose size it cuts.
    package var identity: [UInt64] {
        let caches = [_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE].map { UInt64(max(0, sysconf(Int32($0)))) }
        let name = (Self.implementation ?? "").utf8.map(UInt64.init)
        return [UInt64(odn_version()), UInt64(odn_instructions()), UInt64(width)] + caches + name
    }

    func shape(k: Int, columns: Int) -> ProductShape {
        let key = ProductShape.Key(k: k, columns: columns)
        if let shape = shapes[key] { return shape }
        let shape = ProductShape(key, operands, threads: threads)
        shapes[key] = shape
        return shape
    }

    /// Runs `body(slot, task)` for each task, on whichever thread is free; a slot is used by one thread at a time.
    func share(_ tasks: Int, _ team: Team, _ body: (Int, Int) -> Void) {
        next.store(0, ordering: .relaxed)
        team.share(min(tasks, threads)) { slot in
            while true {
                let task = next.add(1, ordering: .relaxed).oldValue
                guard task < tasks else { return }
                body(slot, task)
            }
        }
    }

    /// `C[rows, columns] (+)= A · B + bias` as `gemm` says; false = not taken, and nothing was done.
    ///
    /// `room` = rows that C has memory for, ≥ `rows`; what lies behind `rows` may be overwritten. `copies` keeps packed
    /// B for the next product.
    func run(_ gemm: dk_gemm, rows: Int, room: Int, copies: PackedCopies?, _ compute: Compute) -> Bool {
        let naturalStep = gemm.b_transposed != 0 ? gemm.k : gemm.columns
        guard gemm.k > 0, gemm.ldc == gemm.columns, gemm.ldb == naturalStep else { return false }
        if gemm.a_transposed != 0 { return runTurned(gemm, rows: rows, compute) }
        if isLong(gemm) { return runLong(gemm, rows: rows, room: room, copies: copies, compute) }
        let shape = shape(k: gemm.k, columns: gemm.columns)
        guard let blocks = rowBlocks(gemm, shape, rows: rows),
            let packed = packed(gemm, shape, valid: gemm.k, copies, compute)
        else { return false }
        if let pieces = pieces(gemm, shape, rows: rows) {
            runColumns(gemm, pieces, .whole(starts(pieces, shape, packed)), rows: rows, compute)
            return true
        }
        run(gemm, blocks, packed, rows: rows, room: room, compute)
        return true
    }

    /// How the rows of a product are cut.
    struct RowBlocks {
        let height: Int
        let count: Int
        /// The product of every block but the last.
        let whole: PreparedProduct
        /// That of the last, which may be shorter.
        let last: PreparedProduct

        subscript(block: Int) -> PreparedProduct { block == count - 1 ? last : whole }
    }

    /// nil where the library refuses one.
    func rowBlocks(_ gemm: dk_gemm, _ shape: ProductShape, rows: Int) -> RowBlocks? {
        let height = shape.height(for: rows)
        let tail = rows % height == 0 ? height : shape.tail(of: rows % height, height)
        let (adds, biased) = (gemm.accumulate != 0, gemm.bias != nil)
        guard let whole = shape.product(rows: height, adds: adds, biased: biased),
            let last = tail == height ? whole : shape.product(rows: tail, adds: adds, biased: biased)
        else { return nil }
        return RowBlocks(height: height, count: blocks(rows, of: height), whole: whole, last: last)
    }

    /// Runs all blocks of a product whose B is packed; rows of C lie side by side.
    func run(
        _ gemm: dk_gemm, _ blocks: RowBlocks, _ packed: UnsafeRawPointer, rows: Int, room: Int, _ compute: Compute
    ) {
        share(blocks.count, compute.team) { slot, task in
            let row = task * blocks.height
            let product = blocks[task]
            let fits = row + product.rows <= max(room, rows)
            let scratch = BlockScratch(product, tile: !fits, width: width)
            stageRows(gemm, row..<min(rows, row + product.rows), product.rows, scratch.a, compute)
            let c = gemm.c + row * gemm.ldc
            guard !fits else { return product.run(slot, scratch.a, packed, gemm.bias, c, scratch.own) }
            let valid = (rows - row) * gemm.columns
            if gemm.accumulate != 0 { scratch.tile.update(from: c, count: valid) }
            product.run(slot, scratch.a, packed, gemm.bias, scratch.tile, scratch.own)
            c.update(from: scratch.tile, count: valid)
        }
    }

    /// Rows of A as operands, zeros behind them up to `height`.
    func stageRows(
        _ gemm: dk_gemm, _ rows: Range<Int>, _ height: Int, _ target: UnsafeMutableRawPointer, _ compute: Compute
    ) {
        let bytes = gemm.k * width
        for (place, row) in rows.enumerated() {
            stage(target + place * bytes, gemm.a + row * gemm.lda, gemm.k, compute)
        }
        let rest = (height - rows.count) * bytes
        (target + rows.count * bytes).initializeMemory(as: UInt8.self, repeating: 0, count: rest)
    }

    /// `count` floats as operands.
    func stage(
        _ target: UnsafeMutableRawPointer, _ from: UnsafePointer<Float>, _ count: Int, _ compute: Compute
    ) {
        switch operands {
        case .bf16: compute.kernels.pointee.narrow_bf16(target.assumingMemoryBound(to: UInt16.self), from, count)
        case .fp32: target.copyMemory(from: from, byteCount: count * 4)
        }
    }

    // MARK: Weight gradients

    /// Tokens of one run, and what the last one is padded to.
    private static let longestRun = 1024, shortestRun = 64

    /// `C[rows, columns] (+)= Aᵀ · B` with A stored `[k, rows]`: k are tokens, cut in runs.
    private func runTurned(_ gemm: dk_gemm, rows: Int, _ compute: Compute) -> Bool {
        guard gemm.bias == nil, gemm.b != nil, gemm.b_transposed == 0 else { return false }
        let height = min(rows, rows <= 4096 ? 192 : 512)
        func length(_ valid: Int) -> Int {
            var length = Self.shortestRun
            while length < valid { length *= 2 }
            return length
        }
        // All or nothing: C is added to from the first run on.
        for first in stride(from: 0, to: gemm.k, by: Self.longestRun) {
            let shape = shape(k: length(min(Self.longestRun, gemm.k - first)), columns: gemm.columns)
            let adds = first > 0 || gemm.accumulate != 0
            guard shape.product(rows: height, adds: adds, biased: false) != nil,
                isPackable(gemm, shape),
                rows % height == 0 || shape.product(rows: rows % height, adds: adds, biased: false) != nil
            else { return false }
        }
        for first in stride(from: 0, to: gemm.k, by: Self.longestRun) {
            let valid = min(Self.longestRun, gemm.k - first)
            var part = gemm
            (part.k, part.accumulate) = (length(valid), first == 0 ? gemm.accumulate : 1)
            part.a = gemm.a + first * gemm.lda
            part.b = gemm.b.map { $0 + first * gemm.ldb }
            runPart(part, rows: rows, height: height, valid: valid, compute)
        }
        return true
    }

    /// One run of `valid` tokens, `gemm.k` with the zeros behind them.
    private func runPart(_ gemm: dk_gemm, rows: Int, height: Int, valid: Int, _ compute: Compute) {
        let shape = shape(k: gemm.k, columns: gemm.columns)
        let adds = gemm.accumulate != 0
        let tail = rows % height == 0 ? height : rows % height
        guard let whole = shape.product(rows: height, adds: adds, biased: false),
            let last = shape.product(rows: tail, adds: adds, biased: false),
            let packed = packed(gemm, shape, valid: valid, nil, compute)
        else { preconditionFailure("these products were there a moment ago") }
        let count = blocks(rows, of: height)
        let kernels = compute.kernels
        share(count, compute.team) { slot, task in
            let row = task * height
            let product = task == count - 1 ? last : whole
            let scratch = BlockScratch(product, tile: false, width: width)
            if valid < gemm.k {
                scratch.a.initializeMemory(as: UInt8.self, repeating: 0, count: product.rows * gemm.k * width)
            }
            switch operands {
            case .bf16:
                let target = scratch.a.assumingMemoryBound(to: UInt16.self)
                kernels.pointee.narrow_turned(target, gemm.k, gemm.a + row, gemm.lda, valid, product.rows)
            case .fp32:
                let target = scratch.a.assumingMemoryBound(to: Float.self)
                kernels.pointee.turn(target, gemm.k, gemm.a + row, gemm.lda, valid, product.rows)
            }
            product.run(slot, scratch.a, packed, nil, gemm.c + row * gemm.ldc, scratch.own)
        }
    }
}

/// What a thread needs beside C: the block's rows of A, what the library asks for, and a place for C if its own is too
/// small.
struct BlockScratch {
    let a: UnsafeMutableRawPointer
    /// B, where it is packed here.
    let packed: UnsafeMutableRawPointer
    let own: UnsafeMutableRawPointer
    let tile: UnsafeMutablePointer<Float>

    /// For one block whose rows of A are staged here.
    init(_ product: PreparedProduct, tile: Bool, width: Int) {
        self.init(
            a: product.rows * product.k * width, packed: 0, own: product.scratchBytes,
            tile: tile ? product.rows * product.columns * 4 : 0)
    }

    /// For all blocks of a product one after the other, A staged elsewhere, and `packed` bytes of B.
    init(_ blocks: NativeProducts.RowBlocks, packed: Int) {
        let largest = blocks.whole
        self.init(
            a: 0, packed: packed, own: max(largest.scratchBytes, blocks.last.scratchBytes),
            tile: largest.rows * largest.columns * 4)
    }

    private init(a bytes: Int, packed packedBytes: Int, own ownBytes: Int, tile tileBytes: Int) {
        let (bytes, packedBytes, ownBytes) = (
            padded(bytes, to: 64), padded(packedBytes, to: 64), padded(ownBytes, to: 64)
        )
        a = dk_scratch(bytes + packedBytes + ownBytes + tileBytes)
        packed = a + bytes
        own = packed + packedBytes
        tile = (own + ownBytes).assumingMemoryBound(to: Float.self)
    }
}
