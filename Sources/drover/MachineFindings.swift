import Foundation
import Glibc
import Kernels
import StorageShell

/// What `doctor` looks at.
enum MachineFindings {
    typealias Finding = Doctor.Finding

    static func cores() -> [Finding] {
        let usable = MachineOptions.cores
        let all = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        let model = line("/proc/cpuinfo", "model name") ?? "unknown processor"
        var findings = [Finding("cores", "\(usable) of \(all) usable, \(model)")]
        if usable < all {
            findings[0].state = .warning
            findings[0].advice = "this process is pinned to \(usable) cores; start it without taskset to use all"
        }
        if let quota = text("/sys/fs/cgroup/cpu.max")?.split(separator: " "), quota.count == 2,
            let limit = Double(quota[0]), let period = Double(quota[1].trimmingCharacters(in: .whitespacesAndNewlines)),
            limit / period < Double(usable)
        {
            findings.append(
                Finding(
                    "cpu quota", "\(limit / period) cores", .warning,
                    advice: "the container gets less than its cores: raise its CPU limit, or give --threads "
                        + "\(max(1, Int(limit / period)))"))
        }
        return findings
    }

    static func instructions(_ level: KernelLevel) -> [Finding] {
        let text = line("/proc/cpuinfo", "flags") ?? line("/proc/cpuinfo", "Features") ?? ""
        let flags = Set(text.split(separator: " "))
        let known = ["avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve"]
        let found = known.filter { flags.contains(Substring($0)) }
        var finding = Finding("instruction set", "\(found.joined(separator: " ")); kernels: \(level.rawValue)")
        #if arch(x86_64)
            if level == .portable {
                finding.state = .warning
                finding.advice =
                    "the processor has no AVX2, so everything runs several times slower; use one from 2015 or later"
            }
        #endif
        return [finding]
    }

    static func libraries() -> [Finding] {
        var findings: [Finding] = []
        if let blas = OpenBLAS.configuration {
            let version = blas.split(separator: " ").prefix(2).joined(separator: " ")
            findings.append(Finding("OpenBLAS", "\(version), kernels \(OpenBLAS.core ?? "unknown")"))
        } else {
            findings.append(
                Finding(
                    "OpenBLAS", "not loaded", .warning, advice: "install it (apt install libopenblas0)"))
        }
        findings.append(Finding("oneDNN", "\(NativeProducts.libraryVersion), for bf16"))
        findings.append(
            Finding(
                "bf16",
                NativeProducts.implementation.map {
                    "native, by \($0): precision: auto takes it for models that are wide enough"
                } ?? "no such instructions here: precision: bf16 rounds in software, and auto means fp32"))
        typealias Version =
            @convention(c) (
                UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>
            ) -> Void
        typealias Has = @convention(c) (UnsafePointer<CChar>) -> Int32
        guard let version = Library.symbol("zmq_version"), let has = Library.symbol("zmq_has") else {
            return findings + [Finding("libzmq", "not loaded", .broken, advice: "install it (apt install libzmq5)")]
        }
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        unsafeBitCast(version, to: Version.self)(&major, &minor, &patch)
        let hasCurve = unsafeBitCast(has, to: Has.self)("curve") == 1
        findings.append(
            Finding(
                "libzmq", "\(major).\(minor).\(patch), CURVE \(hasCurve ? "yes" : "no")", hasCurve ? .ok : .broken,
                advice: hasCurve ? nil : "this libzmq can't encrypt: install one with libsodium (apt install libzmq5)"))
        return findings
    }

    static func memory() -> [Finding] {
        func kibibytes(_ key: String) -> Int? {
            line("/proc/meminfo", key).flatMap { Int($0.split(separator: " ").first ?? "") }
        }
        guard let total = kibibytes("MemTotal"), let free = kibibytes("MemAvailable") else { return [] }
        var findings = [Finding("memory", "\(Output.bytes(free << 10)) of \(Output.bytes(total << 10)) available")]
        if free < total / 4 {
            findings[0].state = .warning
            findings[0].advice = "most of the memory is taken: end other programs before a large job"
        }
        if let pages = text("/sys/kernel/mm/transparent_hugepage/enabled") {
            let isOff = pages.contains("[never]")
            findings.append(
                Finding(
                    "huge pages", isOff ? "off" : "on", isOff ? .warning : .ok,
                    advice: isOff
                        ? "training is a little slower: write madvise to /sys/kernel/mm/transparent_hugepage/enabled"
                        : nil))
        }
        return findings
    }

    static func disk(_ directory: String) -> [Finding] {
        let fileSystem = POSIXFileSystem()
        guard let space = try? fileSystem.space(directory) else {
            return [
                Finding(
                    "disk", "\(directory) can't be looked at", .broken,
                    advice: "give a folder that exists with --directory")
            ]
        }
        var findings = [Finding("disk", "\(Output.bytes(space.available)) free in \(directory)")]
        if space.available < 5 << 30 {
            findings[0].state = .warning
            findings[0].advice = "checkpoints take twelve bytes a trained parameter each: free some space"
        }
        let path = "\(directory)/.drover-doctor-\(getpid())"
        var times: [Double] = []
        for _ in 0..<5 {
            guard let file = try? fileSystem.create(path, mode: 0o600) else { break }
            times.append(
                Measuring.seconds {
                    let bytes = [UInt8](repeating: 1, count: 4096)
                    bytes.withUnsafeBytes { try? fileSystem.write($0, to: file) }
                    try? fileSystem.sync(file)
                })
            fileSystem.close(file)
            try? fileSystem.remove(path)
        }
        guard times.count == 5 else {
            return findings + [
                Finding(
                    "disk writes", "\(directory) is not writable", .broken,
                    advice: "change its permissions, or give another --directory")
            ]
        }
        let milliseconds = (Measuring.median(times) * 1e4).rounded() / 10
        findings.append(
            Finding(
                "durable write", "\(milliseconds) ms", milliseconds > 100 ? .warning : .ok,
                advice: milliseconds > 100
                    ? "the disk is slow to make writes durable: use a local disk for --state" : nil))
        return findings
    }

    static func clock() -> [Finding] {
        var findings: [Finding] = []
        let year = Calendar(identifier: .gregorian).component(.year, from: Date())
        let isSynchronised = kernelClockState() != 5
        if year < 2025 {
            findings.append(
                Finding(
                    "clock", "says \(year)", .broken, advice: "set the clock: keys and budgets depend on it"))
        } else {
            findings.append(
                Finding(
                    "clock", isSynchronised ? "synchronised" : "right year, but no service keeps it right",
                    isSynchronised ? .ok : .warning,
                    advice: isSynchronised
                        ? nil
                        : "install chrony or systemd-timesyncd, so that the logs of several machines agree"))
        }
        if let source = text("/sys/devices/system/clocksource/clocksource0/current_clocksource")?
            .trimmingCharacters(in: .whitespacesAndNewlines)
        {
            findings.append(Finding("clock source", source))
        }
        return findings
    }

    /// What adjtimex(2) says of the clock: 5 = nobody keeps it right. Its struct has 208 bytes, all zero = only read.
    private static func kernelClockState() -> Int32 {
        typealias Function = @convention(c) (UnsafeMutableRawPointer) -> Int32
        guard let symbol = Library.symbol("adjtimex") else { return -1 }
        return withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { memory in
            memory.initializeMemory(as: UInt8.self, repeating: 0)
            return memory.baseAddress.map { unsafeBitCast(symbol, to: Function.self)($0) } ?? -1
        }
    }

    static func limits() -> [Finding] {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return [] }
        let isLow = limit.rlim_cur < 1024
        return [
            Finding(
                "open files", "at most \(limit.rlim_cur)", isLow ? .warning : .ok,
                advice: isLow ? "a coordinator of many workers needs more: ulimit -n 4096" : nil)
        ]
    }

    // MARK: Files of the kernel

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What follows `key` and a colon in the first line that begins with it.
    private static func line(_ path: String, _ key: String) -> String? {
        text(path)?.split(separator: "\n").first { $0.hasPrefix(key) }.flatMap { line in
            line.firstIndex(of: ":").map { line[line.index(after: $0)...].trimmingCharacters(in: .whitespaces) }
        }
    }
}
