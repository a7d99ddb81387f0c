import Foundation
import Glibc
import Kernels

/// Clocks and counters for figures.
enum Measuring {
    /// Seconds that `body` took.
    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = DispatchTime.now().uptimeNanoseconds
        try body()
        return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
    }

    /// The middle value; of an even number the mean of the middle two, 0 of none.
    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// The shortest of several runs within about `budget` seconds, at least three, after one that warms up.
    static func best(budget: Double = 0.5, _ body: () -> Void) -> Double {
        body()
        var (best, spent, runs) = (Double.infinity, 0.0, 0)
        while runs < 3 || spent < budget && runs < 1000 {
            let time = seconds(body)
            best = min(best, time)
            spent += time
            runs += 1
        }
        return best
    }

    /// The most memory this process has had at once, MiB.
    static var peakMiB: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    }

    /// Memory filled with small numbers that are no multiples of each other.
    static func filled(_ count: Int, seed: UInt32 = 1) -> FloatBuffer {
        let buffer = FloatBuffer(count: max(1, count))
        var state = seed &* 2_654_435_761 | 1
        for index in 0..<count {
            state = state &* 1_664_525 &+ 1_013_904_223
            buffer.pointer[index] = Float(Int32(bitPattern: state)) * 0x1p-32
        }
        return buffer
    }
}

/// What this machine can do at best, measured beside every figure.
enum Ceiling {
    /// The fastest matrix product of an arithmetic that was found, and whose it was.
    struct Gemm {
        var gigaflops: Double
        var library: String
    }

    /// Squares of 1,152 on every thread: Drover's products, and for fp32 OpenBLAS with one product a thread.
    static func gemm(_ compute: Compute, budget: Double = 0.5) -> Gemm {
        let size = 1152
        let flops = 2 * Double(size * size * size)
        let threads = compute.team.threads
        let (a, b) = (Measuring.filled(size * size * threads), Measuring.filled(size * size, seed: 2))
        let c = FloatBuffer(count: size * size * threads)
        let weights = Matrix(.fp32(b.pointer)).keepingCopies()
        let own = Measuring.best(budget: budget) {
            compute.linear(
                c.pointer, a.pointer, weights, bias: nil, rows: size * threads, inputs: size, outputs: size,
                accumulate: false)
        }
        var best = Gemm(gigaflops: flops * Double(threads) / own / 1e9, library: "drover")
        let isNative = compute.arithmetic == .bf16 && Compute.hasNativeBF16
        if isNative { best.library = "onednn" }
        guard !isNative, let product = OpenBLAS.product else { return best }
        let memory = (a: Address(a.pointer), b: Address(b.pointer), c: Address(c.pointer))
        let other = Measuring.best(budget: budget) {
            compute.team.run(threads) { thread in
                let shift = thread * size * size
                OpenBLAS.square(product, size, memory.a.pointer + shift, memory.b.pointer, memory.c.pointer + shift)
            }
        }
        let rate = flops * Double(threads) / other / 1e9
        if rate > best.gigaflops { best = Gemm(gigaflops: rate, library: "openblas") }
        return best
    }

    /// Bytes a second that all threads copy together, read and written bytes both counted.
    static func copyBytesPerSecond(_ compute: Compute) -> Double {
        let count = 32 << 20
        let (from, to) = (Measuring.filled(count), FloatBuffer(count: count))
        let memory = (from: Address(from.pointer), to: Address(to.pointer))
        let threads = compute.team.threads
        let time = Measuring.best {
            compute.team.run(threads) { thread in
                let part = count * thread / threads..<count * (thread + 1) / threads
                memcpy(memory.to.pointer + part.lowerBound, memory.from.pointer + part.lowerBound, part.count * 4)
            }
        }
        return Double(2 * 4 * count) / time
    }

    /// Lets threads share memory that each writes in places of its own.
    private struct Address: @unchecked Sendable {
        let pointer: UnsafeMutablePointer<Float>
        init(_ pointer: UnsafeMutablePointer<Float>) { self.pointer = pointer }
    }
}

/// The BLAS that is loaded in this process, as a second opinion on what the machine can do.
enum OpenBLAS {
    typealias Product =
        @convention(c) (
            Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32, UnsafePointer<Float>, Int32,
            Float, UnsafeMutablePointer<Float>, Int32
        ) -> Void

    /// `cblas_sgemm`, nil when no BLAS is loaded.
    static var product: Product? { Library.symbol("cblas_sgemm").map { unsafeBitCast($0, to: Product.self) } }

    /// C = A·B, all `[size, size]`, row-major.
    static func square(
        _ product: Product, _ size: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
        _ c: UnsafeMutablePointer<Float>
    ) {
        let (rowMajor, plain, n) = (Int32(101), Int32(111), Int32(size))
        product(rowMajor, plain, plain, n, n, n, 1, a, n, b, n, 0, c, n)
    }

    /// Version and build, nil when it is not loaded.
    static var configuration: String? { Library.text("openblas_get_config") }
    /// The kernel family in use.
    static var core: String? { Library.text("openblas_get_corename") }
}

/// Functions of libraries that may or may not be loaded.
enum Library {
    /// The function's address, nil when no loaded library has it.
    static func symbol(_ name: String) -> UnsafeMutableRawPointer? { dlsym(dlopen(nil, RTLD_NOW), name) }

    /// What a function without arguments says.
    static func text(_ name: String) -> String? {
        typealias Function = @convention(c) () -> UnsafePointer<CChar>?
        guard let symbol = symbol(name) else { return nil }
        return unsafeBitCast(symbol, to: Function.self)().map { String(cString: $0) }
    }
}
