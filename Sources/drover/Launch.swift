import CSystem
import Glibc

/// What must be settled before any library starts: OpenBLAS and OpenMP read their environment when they are loaded.
enum Launch {
    /// Pins kernels and thread counts, then starts this program anew once, so that the libraries see it.
    ///
    /// The kernel family is part of the numerics profile (design §4.1, rule 9): chosen by instruction set, so that all
    /// machines with the same one compute the same bits. Threads are ours; libraries get one each.
    static func pinLibraries() {
        guard getenv(mark) == nil else { return }
        var settings = [(mark, "1"), ("OPENBLAS_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "1")]
        if csys_has_avx512() != 0 {
            settings.append(("OPENBLAS_CORETYPE", "SKYLAKEX"))
        } else if csys_has_avx2() != 0 {
            settings.append(("OPENBLAS_CORETYPE", "HASWELL"))
        }
        for (name, value) in settings { setenv(name, value, 1) }
        var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
        arguments.append(nil)
        execv("/proc/self/exe", &arguments)
        // Without /proc the program goes on as it is: right, but perhaps slower and of another profile.
    }

    private static let mark = "DROVER_PINNED"
}
