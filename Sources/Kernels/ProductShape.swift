internal import CKernels
internal import COneDNN
internal import Glibc

/// All products of one B: `[k, columns]` with any number of rows, all on one packed layout.
final class ProductShape {
    struct Key: Hashable {
        let k: Int
        let columns: Int
    }

    private struct Variant: Hashable {
        let rows: Int
        let adds: Bool
        let biased: Bool
    }

    /// Heights of a block of rows; the first is always right, the others if they give its bits.
    private static let heights = [16, 32, 64, 128, 256]
    static var shortest: Int { heights[0] }
    static var tallest: Int { heights[heights.count - 1] }
    /// Elements of B up to which heights are tried: trying takes memory. Where B is larger, up to 16 rows lie in the
    /// shortest block and more in the tallest, untried.
    private static let trialLimit = 16 << 20

    let key: Key
    private let operands: NativeProducts.Operands
    private let threads: Int
    private var variants: [Variant: PreparedProduct?] = [:]
    private var packings: [Bool: SlicePacking?] = [:]
    private var admitted: [Int: Bool] = [:]
    /// Whether few rows may be multiplied by columns of B piece by piece; nil = not known yet.
    var canBeCut: Bool?

    init(_ key: Key, _ operands: NativeProducts.Operands, threads: Int) {
        (self.key, self.operands, self.threads) = (key, operands, threads)
    }

    /// Whose layout of B all others take; nil where the library refuses the shape.
    private var model: PreparedProduct? { product(rows: Self.tallest, adds: false, biased: false) }

    /// The product for blocks of `rows`; nil where the library refuses it.
    func product(rows: Int, adds: Bool, biased: Bool) -> PreparedProduct? {
        let variant = Variant(rows: rows, adds: adds, biased: biased)
        if let known = variants[variant] { return known }
        let isModel = rows == Self.tallest && !adds && !biased
        let made: PreparedProduct?
        if isModel {
            made = PreparedProduct(key, rows: rows, adds: adds, biased: biased, operands, like: nil, threads: threads)
        } else {
            made = model.flatMap {
                PreparedProduct(key, rows: rows, adds: adds, biased: biased, operands, like: $0, threads: threads)
            }
        }
        variants[variant] = .some(made)
        return made
    }

    /// Bytes of packed B; nil where the library refuses the shape.
    var packedBytes: Int? { model?.packedBytes }

    /// If packed B lies in pairs as `pairs.h` says: the height of its blocks, k and zeros behind it. Else nil.
    private(set) lazy var pairsHeight: Int? = {
        guard let model else { return nil }
        let height = Int(odn_pairs(model.product))
        let bytes = height * padded(key.columns, to: Int(DK_PAIR_COLUMNS)) * 2
        return height >= key.k && bytes == model.packedBytes ? height : nil
    }()

    /// How the library packs B, where we don't do it ourselves; nil where it refuses the shape.
    func packing(transposed: Bool) -> SlicePacking? {
        if let known = packings[transposed] { return known }
        // A layout that can't be cut is packed in one piece.
        let made = model.flatMap { model in
            let (key, operands, threads) = (key, operands, threads)
            return SlicePacking(
                key, model, columns: SlicePacking.sliceColumns, transposed: transposed, operands, threads: threads)
                ?? SlicePacking(key, model, columns: key.columns, transposed: transposed, operands, threads: threads)
        }
        packings[transposed] = .some(made)
        return made
    }

    /// Whether what has another form than a shortest block has to give its bits.
    var isTried: Bool { key.k * key.columns <= Self.trialLimit }

    /// The height of blocks for so many rows.
    func height(for rows: Int) -> Int {
        guard isTried else { return rows <= Self.shortest ? Self.shortest : Self.tallest }
        let wanted = min(rows, rows >= 2048 ? 256 : rows >= 512 ? 128 : 64)
        let enough = Self.heights.first { $0 >= wanted } ?? Self.tallest
        return Self.heights.last { $0 <= enough && isRight($0) } ?? Self.shortest
    }

    /// The height of a last block of so many rows, among others of `height`.
    func tail(of rows: Int, _ height: Int) -> Int {
        guard isTried else { return height }
        return Self.heights.first { $0 >= rows && $0 <= height && isRight($0) } ?? height
    }

    private func isRight(_ height: Int) -> Bool {
        guard height > Self.shortest else { return true }
        if let known = admitted[height] { return known }
        let answer = givesTheSameBits(height)
        admitted[height] = answer
        return answer
    }

    /// Whether the first and the last rows of a block of `height` have the bits that a shortest block gives them.
    private func givesTheSameBits(_ height: Int) -> Bool {
        let isHalf: Int32 = operands == .bf16 ? 1 : 0
        let width = operands == .bf16 ? 2 : 4
        func filled(_ count: Int, _ seed: UInt32, isHalf: Int32) -> FloatBuffer {
            let buffer = FloatBuffer(count: blocks(count * (isHalf == 1 ? 2 : 4), of: 4))
            odn_fill(buffer.pointer, count, isHalf, seed)
            return buffer
        }
        guard let model else { return false }
        let a = filled(height * key.k, 1, isHalf: isHalf)
        let b = filled(model.packedBytes / width, 2, isHalf: isHalf)
        let old = filled(height * key.columns, 3, isHalf: 0)
        let bias = filled(key.columns, 4, isHalf: 0)
        let (tall, part) = (FloatBuffer(count: old.count), FloatBuffer(count: Self.shortest * key.columns))
        return [(false, false), (true, false), (true, true)].allSatisfy { adds, biased in
            guard let whole = product(rows: height, adds: adds, biased: biased),
                let short = product(rows: Self.shortest, adds: adds, biased: biased)
            else { return false }
            let scratch = FloatBuffer(count: blocks(max(64, whole.scratchBytes, short.scratchBytes), of: 4))
            tall.pointer.update(from: old.pointer, count: old.count)
            whole.run(0, a.pointer, b.pointer, bias.pointer, tall.pointer, scratch.pointer)
            return [0, height - Self.shortest].allSatisfy { first in
                let shift = first * key.columns
                part.pointer.update(from: old.pointer + shift, count: part.count)
                let rows = UnsafeRawPointer(a.pointer) + first * key.k * width
                short.run(0, rows, b.pointer, bias.pointer, part.pointer, scratch.pointer)
                return memcmp(part.pointer, tall.pointer + shift, part.count * 4) == 0
            }
        }
    }
}

/// A product of the library, with what each thread needs to run it.
final class PreparedProduct {
    let rows: Int
    let k: Int
    let columns: Int
    let packedBytes: Int
    let scratchBytes: Int
    let product: UnsafeMutablePointer<odn_product>
    private let slots: SlotList

    init?(
        _ key: ProductShape.Key, rows: Int, adds: Bool, biased: Bool, _ operands: NativeProducts.Operands,
        like: PreparedProduct?, threads: Int
    ) {
        let product = UnsafeMutablePointer<odn_product>.allocate(capacity: 1)
        let status = odn_product_create(
            product, rows, key.columns, key.k, adds ? 1 : 0, biased ? 1 : 0, operands == .bf16 ? 1 : 0, like?.product)
        guard status == 0 else {
            product.deallocate()
            precondition(odn_is_refusal(status) != 0, "oneDNN failed to prepare a product, with status \(status)")
            return nil
        }
        slots = SlotList(threads) { odn_product_slot(product, $0, biased ? 1 : 0) }
        (self.rows, k, columns, self.product) = (rows, key.k, key.columns, product)
        packedBytes = Int(product.pointee.packed_bytes)
        scratchBytes = Int(product.pointee.scratch_bytes)
    }

    deinit {
        slots.destroy()
        odn_product_destroy(product)
        product.deallocate()
    }

    /// C `[rows, columns]` from operands `a` and packed `b`, on the calling thread; a slot serves one thread at a time.
    func run(
        _ slot: Int, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ bias: UnsafePointer<Float>?,
        _ c: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
    ) {
        let status = odn_product_run(product, slots.base + slot, a, b, bias, c, scratch)
        precondition(status == 0, "oneDNN failed to run a product that it prepared, with status \(status)")
    }
}

/// How B is packed: slice by slice of columns, on as many threads as there are.
final class SlicePacking {
    /// Of packed B.
    let bytes: Int
    let slices: Int
    private let total: Int
    /// Columns of every slice but the last.
    private let width: Int
    /// Where each slice begins in packed B.
    private let offsets: [Int]
    private let first: UnsafeMutablePointer<odn_packer>
    private let last: UnsafeMutablePointer<odn_packer>
    private let firstSlots: SlotList
    private let lastSlots: SlotList

    /// A multiple of the widths of all blocks that the library packs.
    static let sliceColumns = 192

    /// Packing in slices of `width` columns; nil where the library can't.
    init?(
        _ key: ProductShape.Key, _ product: PreparedProduct, columns width: Int, transposed: Bool,
        _ operands: NativeProducts.Operands, threads: Int
    ) {
        let starts = Array(stride(from: 0, to: key.columns, by: width))
        let offsets = starts.map {
            odn_slice_offset(product.product, key.k, $0, min(width, key.columns - $0))
        }
        guard !offsets.contains(-1) else { return nil }
        let slices = starts.count
        (self.slices, self.width, self.offsets) = (slices, width, offsets)
        (total, bytes) = (key.columns, product.packedBytes)
        func packer(_ slice: Int) -> (UnsafeMutablePointer<odn_packer>, SlotList)? {
            let start = slice * width
            let packer = UnsafeMutablePointer<odn_packer>.allocate(capacity: 1)
            let status = odn_packer_create(
                packer, product.product, key.k, start, min(width, key.columns - start), transposed ? 1 : 0,
                operands == .bf16 ? 1 : 0)
            guard status == 0 else {
                packer.deallocate()
                precondition(odn_is_refusal(status) != 0, "oneDNN failed to prepare a packer, with status \(status)")
                return nil
            }
            return (packer, SlotList(threads) { odn_packer_slot(packer, $0) })
        }
        guard let (first, firstSlots) = packer(0) else { return nil }
        guard let (last, lastSlots) = packer(slices - 1) else {
            firstSlots.destroy()
            odn_packer_destroy(first)
            first.deallocate()
            return nil
        }
        (self.first, self.firstSlots, self.last, self.lastSlots) = (first, firstSlots, last, lastSlots)
    }

    deinit {
        for (packer, slots) in [(first, firstSlots), (last, lastSlots)] {
            slots.destroy()
            odn_packer_destroy(packer)
            packer.deallocate()
        }
    }

    /// Columns of B in a slice.
    func columns(of slice: Int) -> Range<Int> { slice * width..<min(total, (slice + 1) * width) }

    /// Packs a slice, whose columns lie side by side in `dense`, into its place in `packed`.
    func run(_ slot: Int, _ slice: Int, _ dense: UnsafeRawPointer, _ packed: UnsafeMutableRawPointer) {
        let isLast = slice == slices - 1
        let (packer, slots) = isLast ? (last, lastSlots) : (first, firstSlots)
        let target = packed + offsets[slice] - Int(packer.pointee.offset)
        let status = odn_packer_run(packer, slots.base + slot, dense, target)
        precondition(status == 0, "oneDNN failed to pack a matrix, with status \(status)")
    }
}

/// One slot a thread; who owns the list destroys it.
private struct SlotList {
    let base: UnsafeMutablePointer<odn_slot>
    private let count: Int

    init(_ count: Int, _ create: (UnsafeMutablePointer<odn_slot>) -> Int32) {
        base = UnsafeMutablePointer<odn_slot>.allocate(capacity: count)
        self.count = count
        base.initialize(repeating: odn_slot(), count: count)
        for index in 0..<count {
            let status = create(base + index)
            precondition(status == 0, "oneDNN failed to prepare a thread's part of a product, with status \(status)")
        }
    }

    func destroy() {
        for index in 0..<count { odn_slot_destroy(base + index) }
        base.deallocate()
    }
}
