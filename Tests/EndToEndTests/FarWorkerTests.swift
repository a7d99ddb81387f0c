import Foundation
import Testing

/// Workers that can open nothing of the submitter's or the coordinator's.
@Suite(.serialized) struct FarWorkerTests {
    /// Of a job that begins long before so many rows have been fetched.
    private let keys = [
        "max_steps=60", "num_train_epochs=null", "val_size=0.001", "max_eval_samples=8", "eval_steps=1000", "--json",
    ]

    /// The job's scene, and the digest that it ends with alone.
    private func longData() throws -> (scene: Scene, expected: String?) {
        let scene = try Scene()
        try scene.write(Scene.rows(50_000), to: "data.jsonl")
        return (scene, try scene.run("train", ["job.yaml", "--workers", "1", "output_dir=alone"] + keys).digest)
    }

    @Test func `far workers begin to train before the data are whole, and end with the same bits`() throws {
        let (scene, expected) = try longData()
        let cluster = try Cluster(scene)
        let workers = try ["far", "farther"].map { try cluster.join($0, isAfar: true) }
        let end = try scene.start(["train", "job.yaml", "--coordinator", cluster.address] + keys, user: "owner")
            .outcome()

        #expect(end.digest != nil && end.digest == expected, "\(end.errors)")
        for worker in workers {
            let line = try #require(
                worker.said.split(separator: "\n").first { $0.contains("training begins with") }, "\(worker.said)")
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            #expect(numbers.count == 2 && 2 * numbers[0] < numbers[1], "\(line)")
        }
        // A worker of the same machine fetches nothing.
        let near = try cluster.join("near")
        for worker in workers { kill(worker.process.processIdentifier, SIGKILL) }
        let again = try scene.start(
            ["train", "job.yaml", "--coordinator", cluster.address, "output_dir=again", "workers.min=1"] + keys,
            user: "owner"
        ).outcome()
        #expect(again.digest == expected, "\(again.errors)")
        #expect(!near.said.contains("fetching") && !near.said.contains("blocks"), "\(near.said)")
    }

    @Test(.enabled(if: outerAddress != nil, "over loopback nothing is encrypted, and there is no other IPv4 address"))
    func `a far worker that dies while blocks come to it, encrypted, costs the job no bit`() throws {
        let host = try #require(Self.outerAddress)
        let (scene, expected) = try longData()
        let cluster = try Cluster(scene, on: host)
        for name in ["far", "farther"] { try cluster.join(name, isAfar: true) }
        let job = try scene.start(["train", "job.yaml", "--coordinator", cluster.address] + keys, user: "owner")

        let deadline = Date().addingTimeInterval(60)
        while blocks(of: "far", in: scene) == nil, Date() < deadline { usleep(500) }
        kill(cluster.workers[0].process.processIdentifier, SIGKILL)
        cluster.workers[0].process.waitUntilExit()
        let here = try #require(blocks(of: "far", in: scene), "\(cluster.workers[0].said)")
        #expect(here.stored > 0 && here.stored < here.all - 8, "it died in the middle of fetching")
        // Its next life goes on in the same folder.
        try cluster.join("far", isAfar: true)
        let end = job.outcome()

        #expect(end.code == 0 && end.digest != nil && end.digest == expected, "\(end.errors)")
    }

    /// How many blocks of the data a worker has stored, while not all of them are here; at most 7 are counted too many.
    private func blocks(of worker: String, in scene: Scene) -> (stored: Int, all: Int)? {
        let folder = scene.folder.appendingPathComponent("\(worker)/files")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        guard let name = names.first(where: { $0.hasSuffix(".have") }),
            let bitmap = FileManager.default.contents(atPath: folder.appendingPathComponent(name).path)
        else { return nil }
        let stored = bitmap.reduce(0) { $0 + $1.nonzeroBitCount }
        return stored == 0 ? nil : (stored, 8 * bitmap.count)
    }

    /// An IPv4 address of this machine that is not its loopback: what goes over it is encrypted. nil = it has none.
    private static var outerAddress: String? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return nil }
        defer { freeifaddrs(list) }
        for entry in sequence(first: list, next: { $0?.pointee.ifa_next }) {
            guard let address = entry?.pointee.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET) else {
                continue
            }
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(MemoryLayout<sockaddr_in>.size)
            guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else {
                continue
            }
            let name = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if !name.hasPrefix("127.") { return name }
        }
        return nil
    }
}
