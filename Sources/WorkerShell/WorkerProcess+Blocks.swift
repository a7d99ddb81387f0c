import Coordination
import Foundation
import Logging
import Terms
import Wire

/// Data that arrive while they are trained on: what the next steps read first, from the coordinator or from peers.
extension WorkerProcess {
    /// A job's data on their way in.
    struct Arriving {
        let job: JobID
        let file: BlockFile
        var fetch: BlockFetch
        /// A step was ordered.
        var hasBegun = false
    }

    /// In a file's header: one block of it is asked for, and answered.
    static let blockRequest: UInt32 = 1

    /// The engine waits for blocks of this file from now on.
    func beginBlocks(_ id: JobID, _ file: BlockFile) {
        guard session.job?.id == id else { return file.giveUp() }
        endBlocks()
        log.info("\(file.file.name): \(file.table.count) blocks come as they are needed (\(file.file.size) bytes)")
        arriving = Arriving(job: id, file: file, fetch: BlockFetch(count: file.table.count, start: options.node.low))
        DispatchQueue.global(qos: .utility).async { file.confirmAll() }
    }

    /// Nobody needs them any more.
    func endBlocks() {
        arriving?.file.giveUp()
        arriving = nil
    }

    /// What the engine reads next, unless all of it is here.
    func lookAhead(_ blocks: [Int], isStep: Bool) {
        guard let file = arriving?.file else { return }
        arriving?.fetch.lookAhead(blocks)
        guard isStep, arriving?.hasBegun == false else { return }
        arriving?.hasBegun = true
        log.info("training begins with \(file.storedCount) of \(file.table.count) blocks of \(file.file.name)")
    }

    /// Asks for what is missing, as much as may be under way.
    func fetchBlocks() {
        guard var current = arriving else { return }
        let file = current.file
        if file.isWhole { return finishBlocks(file) }
        current.fetch.want(file.takeWanted())
        let peers = (exchange?.roster.members ?? []).map(\.node).filter { $0 != options.node }
        // What an earlier life stored is looked at elsewhere.
        let requests = current.fetch.requests(peers: peers, at: Self.now()) { file.has($0) || file.claims($0) }
        if current.hasBegun, !current.fetch.streams, current.fetch.isRelaxed {
            current.fetch.streams = true
        }
        arriving = current
        for (block, source) in requests {
            let range = file.table.range(of: block)
            var header = DataHeader(
                kind: .fileRequest, job: current.job, generation: Generation(0), step: 0,
                offset: UInt64(range.lowerBound), count: UInt64(range.count), sender: options.node)
            header.attempt = Self.blockRequest
            send(header, file.file.digest.bytes, to: source)
        }
    }

    /// A block that was asked for; one that is not what it should be is asked of somebody else.
    func receiveBlock(_ header: DataHeader, _ payload: UnsafeRawBufferPointer) {
        guard let current = arriving, header.job == current.job,
            let block = Int(exactly: header.offset).map({ $0 / BlockTable.blockBytes }),
            block < current.file.table.count
        else { return }
        // The coordinator sends a request's header back.
        let source = header.sender == options.node ? .coordinator : header.sender
        do {
            if header.count > 0, try current.file.store(block, payload) {
                arriving?.fetch.arrived(block)
                return
            }
        } catch { return feed(.failed(current.job, problem: "\(error)")) }
        if header.count > 0 {
            log.warning("block \(block) of \(current.file.file.name) came with other bytes from \(name(of: source))")
        }
        guard arriving?.fetch.refuse(block, source) == false else { return }
        let reason =
            header.count > 0 ? "it comes with other bytes" : String(decoding: payload.prefix(2000), as: UTF8.self)
        feed(.failed(current.job, problem: "block \(block) of \(current.file.file.name) can't be had: \(reason)"))
    }

    private func name(of source: NodeID) -> String {
        source == .coordinator ? "the coordinator" : "the worker \(source)"
    }

    /// All blocks are here: from now on it is a file like any other.
    private func finishBlocks(_ file: BlockFile) {
        arriving = nil
        log.info("\(file.file.name) is whole")
        DispatchQueue.global(qos: .utility).async { [log] in
            do { try FileCache.finish(file) } catch { log.warning("\(error)") }
        }
    }

    /// Sends a peer the block that it asks for, or nothing when it is not here.
    func serveBlock(_ header: DataHeader, _ digest: [UInt8]) {
        guard let job, job.id == header.job, header.attempt == Self.blockRequest,
            let lower = Int(exactly: header.offset), let count = Int(exactly: header.count), count > 0,
            job.loaded.description.files.contains(where: { $0.kind == .data && $0.digest.bytes == digest })
        else { return }
        let bytes = job.loaded.source.read(lower..<lower + count)
        var answer = header
        answer.kind = .file
        answer.count = UInt64(bytes?.count ?? 0)
        answer.sender = options.node
        send(answer, bytes ?? Array("it is not here".utf8), to: header.sender)
    }
}
