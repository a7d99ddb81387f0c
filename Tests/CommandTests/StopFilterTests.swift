import Testing

@testable import drover

@Suite struct StopFilterTests {
    /// What comes out when `pieces` go in one after another.
    private func filtered(_ pieces: [String], _ stops: [String]) -> String {
        var filter = StopFilter(stops)
        return pieces.reduce("") { $0 + filter.push($1) } + filter.finish()
    }

    @Test func `text without a stop passes whole`() {
        #expect(filtered(["one ", "two"], ["three"]) == "one two")
        #expect(filtered(["one ", "two"], []) == "one two")
        #expect(filtered(["one"], [""]) == "one")
    }

    @Test func `nothing from the stop on comes out`() {
        #expect(filtered(["one STOP two"], ["STOP"]) == "one ")
    }

    @Test func `a stop that arrives in pieces is found`() {
        #expect(filtered(["one S", "T", "OP two", "three"], ["STOP"]) == "one ")
    }

    @Test func `what might become a stop comes out when it does not`() {
        var filter = StopFilter(["STOP"])
        #expect(filter.push("one ST") == "one ")
        #expect(filter.push("AR") == "STAR")
        #expect(!filter.isStopped)
    }

    @Test func `a held-back beginning comes out at the end`() {
        #expect(filtered(["one STO"], ["STOP"]) == "one STO")
    }

    @Test func `the first of several stops counts`() {
        #expect(filtered(["a。b\n\nc"], ["\n\n", "。"]) == "a")
    }

    @Test func `a stop inside its own repetition is found`() {
        #expect(filtered(["aa", "ab"], ["aab"]) == "a")
    }

    @Test func `characters of several bytes are not cut`() {
        var filter = StopFilter(["世界"])
        #expect(filter.push("你好世") == "你好")
        #expect(filter.push("纪") == "世纪")
    }
}
