import Checkpoints
import Collectives
import Coordination
import Foundation
import Kernels
import Logging
import Terms
import Training
import Wire
import ZeroMQShell

extension WorkerProcess {
    /// State on its way in: which parts of the three vectors are still missing.
    struct Healing {
        var roster: Roster
        /// By vector and source: the ranges asked for.
        var tallies: [(vector: Int, tally: ChunkTally)]
        var isComplete: Bool { tallies.allSatisfy { $0.tally.isComplete } }
    }

    /// A job file on its way in.
    struct Fetching {
        var job: JobID
        var description: JobDescription
        /// Files still to come, the first one in progress.
        var files: [JobFile]
        var handle: FileHandle
        var received = 0
        /// The connection broke: the rest won't come.
        var isCutOff = false
    }

    /// A data message from a peer or from the coordinator. Anything that does not fit is dropped.
    ///
    /// - Parameter isPeer: true when it came in on this worker's own socket, false on a link that it made.
    func receiveData(_ frames: ArraySlice<ZeroMQFrame>, isPeer: Bool) {
        guard (2...(isPeer ? 3 : 2)).contains(frames.count), let head = frames.first, let last = frames.last,
            let header = try? DataHeader(decoding: head.bytes), last.count <= WireLimits.chunkBytes
        else { return complain("dropped a malformed chunk") }
        guard !isPeer || isFrom(header.sender, last.userID) else {
            return complain("dropped a chunk whose sender is another than it says")
        }
        guard shelves.withPayload(frames, from: header.sender, { receive(header, $0) }) else {
            return complain("dropped a chunk that lies on no shelf")
        }
    }

    private func receive(_ header: DataHeader, _ payload: UnsafeRawBufferPointer) {
        switch header.kind {
        case .node, .root:
            if let exchange { forward(exchange.receive(header, payload)) }
        case .stateRequest: serveState(header)
        case .state: receiveState(header, payload)
        case .file where header.attempt == Self.blockRequest: receiveBlock(header, payload)
        case .file: receiveFile(header, Array(payload))
        case .fileRequest: serveBlock(header, Array(payload))
        case .plea: hear(header)
        case .grant: receiveGrant(header)
        case .shelf:
            if let offer = try? ShelfOffer(decoding: Array(payload)) { shelves.open(offer, of: header.sender) }
        case .room: links.hasRoom()
        case .checkpoint, .object: break
        }
    }

    /// Warns of what strangers send; they can't fill the log.
    func complain(_ sentence: String) {
        guard let silenced = complaints.admit(at: Self.now()) else { return }
        log.warning("\(sentence)\(silenced > 0 ? " (and \(silenced) more since the last line)" : "")")
    }

    /// Whether the key that a peer proved belongs to the member it says it is; on loopback nobody has proved one.
    private func isFrom(_ node: NodeID, _ userID: String?) -> Bool {
        guard let member = exchange?.roster.members.first(where: { $0.node == node }) else { return userID == nil }
        return PeerAddress(member.dataEndpoint)?.key?.text == userID
    }

    // MARK: Healing

    func heal(_ roster: Roster, _ source: StateSource) {
        guard let job, job.id == roster.job else { return }
        switch source {
        case .own: finishHealing(roster)
        case .initial:
            let loaded = job.loaded
            finishHealing(roster) { try loaded.becomeInitial() }
        case .peers(let ranks): ask(roster, ranks.map { roster.members[$0].node })
        case .checkpoint: ask(roster, [Self.coordinatorNode])
        }
    }

    /// Asks each source for its part of all three vectors.
    private func ask(_ roster: Roster, _ sources: [NodeID]) {
        guard let job else { return }
        let parts = Partition.slices(parameters: job.loaded.trainer.count, members: sources.count)
        var tallies: [(vector: Int, tally: ChunkTally)] = []
        for vector in 0..<3 {
            for (source, range) in zip(sources, parts) where !range.isEmpty {
                tallies.append((vector, ChunkTally(range)))
                var header = DataHeader(
                    kind: .stateRequest, job: roster.job, generation: roster.generation, step: roster.target,
                    offset: UInt64(range.lowerBound), count: UInt64(range.count), sender: options.node)
                header.role = UInt8(vector)
                send(header, [0], to: source)
            }
        }
        healing = Healing(roster: roster, tallies: tallies)
    }

    func send(_ header: DataHeader, _ payload: [UInt8], to node: NodeID) {
        let box = Box(payload)
        links.send(.init(header: header, payload: box.start, count: payload.count, owner: box), to: [node])
    }

    /// Sends a peer the part of the state that it asked for. The state rests while a generation begins.
    private func serveState(_ header: DataHeader) {
        guard let job, job.id == header.job, let course = session.job, course.generation == header.generation,
            course.hasState, UInt64(course.step) == header.step, header.role <= 2,
            let lower = Int(exactly: header.offset), let count = Int(exactly: header.count), count > 0,
            lower + count <= job.loaded.trainer.count
        else { return }
        let vector = Trainer.StateVector.allCases[Int(header.role)]
        for chunk in Chunks.cut(lower..<lower + count) {
            var answer = header
            answer.kind = .state
            answer.offset = UInt64(chunk.lowerBound)
            answer.count = UInt64(chunk.count)
            answer.sender = options.node
            job.loaded.trainer.readState(vector, chunk) { part in
                links.send(
                    .init(
                        header: answer, payload: UnsafeRawPointer(part.baseAddress!), count: part.count * 4,
                        owner: job.loaded),
                    to: [header.sender])
            }
        }
    }

    private func receiveState(_ header: DataHeader, _ payload: UnsafeRawBufferPointer) {
        guard let job, var healing, header.job == job.id, header.generation == healing.roster.generation,
            header.step == healing.roster.target, payload.count == Int(header.count) * 4,
            let place = healing.tallies.firstIndex(where: {
                $0.vector == Int(header.role) && $0.tally.range.contains(Int(clamping: header.offset))
            }), healing.tallies[place].tally.note(offset: header.offset, count: header.count)
        else { return }
        let range = Int(header.offset)..<Int(header.offset) + Int(header.count)
        job.loaded.replace(Trainer.StateVector.allCases[Int(header.role)], range) { part in
            UnsafeMutableRawPointer(part.baseAddress!).copyMemory(from: payload.baseAddress!, byteCount: payload.count)
        }
        self.healing = healing
        if healing.isComplete {
            self.healing = nil
            finishHealing(healing.roster)
        }
    }

    /// Takes the digest of the state in memory and holds it against the roster's.
    private func finishHealing(_ roster: Roster, preparing prepare: @escaping @Sendable () throws -> Void = {}) {
        guard let job else { return }
        let loaded = job.loaded
        engine.run { [mailbox] in
            do { try prepare() } catch {
                return mailbox.post(.event(.failed(roster.job, problem: "\(error)")))
            }
            let digest = loaded.trainer.stateDigest()
            if roster.target > 0, digest != roster.digest {
                mailbox.post(
                    .event(
                        .healFailed(
                            roster.job, roster.generation,
                            problem:
                                "the state of step \(roster.target) arrived with another digest than the job has on record"
                        )))
            } else {
                mailbox.post(.event(.healed(roster.job, roster.generation, digest: digest)))
            }
        }
    }

    // MARK: Checkpoints

    /// Sends a share of the state to the coordinator, which writes it.
    func sendShare(_ snapshot: Snapshot) {
        for (index, piece) in snapshot.pieces.enumerated() {
            let start = snapshot.keptBytes(index)
            for chunk in Chunks.cut(piece.offset..<piece.offset + piece.elements) {
                var header = saveHeader(.checkpoint, snapshot.order)
                header.offset = UInt64(chunk.lowerBound)
                header.count = UInt64(chunk.count)
                header.role = UInt8(piece.role.rank)
                links.send(
                    .init(
                        header: header, payload: start + (chunk.lowerBound - piece.offset) * 4, count: chunk.count * 4,
                        owner: snapshot),
                    to: [Self.coordinatorNode])
            }
        }
    }

    /// Tells the coordinator that a piece is in the store.
    func sendStored(_ order: SaveOrder, _ piece: SavePlan.Piece, _ digest: Digest) {
        var header = saveHeader(.object, order)
        header.offset = UInt64(piece.offset)
        header.count = UInt64(piece.elements)
        header.role = UInt8(piece.role.rank)
        send(header, digest.bytes, to: Self.coordinatorNode)
    }

    /// Tells the coordinator why a share can't be stored.
    func sendProblem(_ order: SaveOrder, _ problem: String) {
        log.warning("no checkpoint of step \(order.step): \(problem)")
        send(saveHeader(.object, order), Array(problem.utf8.prefix(2000)), to: Self.coordinatorNode)
    }

    private func saveHeader(_ kind: DataHeader.Kind, _ order: SaveOrder) -> DataHeader {
        var header = DataHeader(
            kind: kind, job: order.job, generation: order.generation, step: order.step, offset: 0, count: 0,
            sender: options.node)
        header.attempt = order.attempt
        return header
    }

    // MARK: Files

    /// Asks the coordinator for the first missing file.
    func fetch(_ id: JobID, _ description: JobDescription, _ files: [JobFile]) {
        guard let file = files.first else { return }
        let path = loader.cache.temporary(file)
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { return feed(.loaded(id, parameters: 0, problem: "can't write \(path)")) }
        fetching = Fetching(job: id, description: description, files: files, handle: handle)
        log.info("fetching \(file.name) (\(file.size) bytes)")
        if file.size == 0 { return finishFile() }
        let header = DataHeader(
            kind: .fileRequest, job: id, generation: Generation(0), step: 0, offset: 0, count: UInt64(file.size),
            sender: options.node)
        send(header, file.digest.bytes, to: Self.coordinatorNode)
    }

    /// A file that was cut off is asked for again once the connection stands: a request before that may be lost with
    /// it.
    func coordinatorLink(isLost: Bool) {
        if isLost {
            fetching?.isCutOff = true
        } else {
            arriving?.fetch.forget(.coordinator)
            if fetching?.isCutOff == true { fetchAgain() }
        }
    }

    /// The connection over which files come is another one: what was under way is lost.
    func fetchAgain() {
        arriving?.fetch.forget(.coordinator)
        guard let fetching else { return }
        log.info("fetching again: the connection to the coordinator broke")
        fetch(fetching.job, fetching.description, fetching.files)
    }

    private func receiveFile(_ header: DataHeader, _ payload: [UInt8]) {
        guard var current = fetching, header.job == current.job else { return }
        if header.count == 0 {
            fetching = nil
            let problem = String(decoding: payload.prefix(2000), as: UTF8.self)
            return feed(.loaded(current.job, parameters: 0, problem: "\(current.files[0].name): \(problem)"))
        }
        guard Int(exactly: header.offset) == current.received,
            payload.count == Int(clamping: header.count), current.received + payload.count <= current.files[0].size
        else { return }
        do { try current.handle.write(contentsOf: payload) } catch {
            fetching = nil
            return feed(.loaded(current.job, parameters: 0, problem: "can't store \(current.files[0].name): \(error)"))
        }
        current.received += payload.count
        fetching = current
        if current.received == current.files[0].size { finishFile() }
    }

    private func finishFile() {
        guard let current = fetching else { return }
        fetching = nil
        let loader = SendableLoader(loader: loader)
        engine.run { [mailbox] in
            do {
                try current.handle.synchronize()
                try current.handle.close()
                let file = current.files[0]
                try loader.loader.cache.take(file, from: loader.loader.cache.temporary(file))
                mailbox.post(.lacks(current.job, current.description, Array(current.files.dropFirst())))
            } catch { mailbox.post(.event(.loaded(current.job, parameters: 0, problem: "\(error)"))) }
        }
    }
}

/// Bytes at an address that stays put while libzmq sends them.
private final class Box {
    private let memory: UnsafeMutableRawBufferPointer
    var start: UnsafeRawPointer { UnsafeRawPointer(memory.baseAddress!) }

    init(_ bytes: [UInt8]) {
        memory = .allocate(byteCount: max(1, bytes.count), alignment: 16)
        memory.copyBytes(from: bytes)
    }
    deinit { memory.deallocate() }
}
