import Kernels
import Testing

@Suite struct ProbeTests {
    @Test func `the arithmetic is the same at every level and thread count, and what it was`() {
        // The constants are part of the promise: whoever changes one changes the results of every such job.
        for compute in everyCompute {
            let probe = compute.probe()
            #expect(UInt32(truncatingIfNeeded: probe) == 0xFD7A_B2F2)
            if !Compute.hasNativeBF16 { #expect(probe >> 32 == 0xBF29_79C5) }
        }
    }
}

@Suite struct OpenBLASTests {
    @Test func `the yardstick multiplies the same matrices`() {
        var numbers = Numbers(1)
        let x = numbers.floats(20 * 30)
        let w = numbers.floats(10 * 30)
        var (own, theirs) = ([Float](repeating: 0, count: 200), [Float](repeating: 0, count: 200))
        anyCompute.linear(&own, x, w, bias: nil, rows: 20, inputs: 30, outputs: 10, accumulate: false)
        OpenBLAS.linear(&theirs, x, w, rows: 20, inputs: 30, outputs: 10, threads: 1)
        expectClose(own, theirs)
        #expect(OpenBLAS.description.contains("OpenBLAS"))
    }
}
