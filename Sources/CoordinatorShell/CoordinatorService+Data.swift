import Coordination
import Foundation
import Hashing
import Logging
import Terms
import Wire
import ZeroMQShell

extension CoordinatorService {
    /// Takes in chunks and sends out what waits.
    func moveData() throws {
        var chunks = 0
        // What the disk does not take yet stays in the network: workers wait, memory does not grow.
        while chunks < 256, !desks.contains(where: { $0.desk.checkpoints.isFull }),
            let frames = try data.receive(limit: 4)
        {
            chunks += 1
            try receiveData(frames)
        }
        while let chunk = pending.first {
            let sent = try data.send(
                header: chunk.header, payload: chunk.payload, count: chunk.count, owner: chunk.owner,
                prefix: [chunk.route])
            if sent == .wouldBlock { break }
            // An unreachable peer is gone; what it asked for goes with it.
            pending.removeFirst()
        }
    }

    private func receiveData(_ frames: [ZeroMQSocket.Frame]) throws {
        guard frames.count == 3, let header = try? DataHeader(decoding: frames[1].bytes) else {
            return complain("dropped a malformed chunk")
        }
        guard mayMove(header.kind, frames[2].userID) else {
            return complain("dropped a chunk of somebody who may not send it")
        }
        let route = frames[0].bytes
        switch header.kind {
        case .checkpoint: desk(header.job)?.checkpoints.receive(header, frames[2].bytes)
        case .object:
            // Only this process's own children write into the store; from others it takes bytes.
            guard gate == nil || header.count == 0 else { return }
            desk(header.job)?.checkpoints.receiveStored(header, frames[2].bytes)
        case .stateRequest:
            guard let chunks = try desk(header.job)?.checkpoints.serve(header) else { return }
            for chunk in chunks {
                pending.append(
                    PendingChunk(
                        route: route, header: chunk.header.encoded(), payload: chunk.payload, count: chunk.count,
                        owner: chunk.owner))
            }
        case .fileRequest: try serveFile(header, frames[2].bytes, route)
        case .file: files?.receive(header, frames[2].bytes)
        case .node, .root, .state, .plea, .grant: break
        }
    }

    /// Warns of what strangers send; they can't fill the log.
    func complain(_ sentence: String) {
        guard let silenced = complaints.admit(at: Self.now()) else { return }
        log.warning("\(sentence)\(silenced > 0 ? " (and \(silenced) more since the last line)" : "")")
    }

    /// Whether the sender of a chunk may send it; on loopback nobody is asked. Clients move files, workers everything else.
    private func mayMove(_ kind: DataHeader.Kind, _ userID: String?) -> Bool {
        guard let gate, !PeerAddress.isLoopback(options.listen) else { return true }
        return switch gate.entry(userID)?.role {
        case .worker: kind != .file
        case .client: kind == .file || kind == .fileRequest
        case .workerInvitation, .clientInvitation, nil: false
        }
    }

    /// Sends one of the job's own files, as a whole; no other file can be asked for.
    private func serveFile(_ header: DataHeader, _ digest: [UInt8], _ route: [UInt8]) throws {
        guard let wanted = Digest(bytes: digest),
            let path = file(of: header.job, wanted),
            let bytes = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        else { return }
        let owner = FileBytes(bytes)
        for start in stride(from: 0, to: bytes.count, by: WireLimits.chunkBytes) {
            var answer = header
            answer.kind = .file
            answer.offset = UInt64(start)
            let count = min(WireLimits.chunkBytes, bytes.count - start)
            answer.count = UInt64(count)
            pending.append(
                PendingChunk(
                    route: route, header: answer.encoded(), payload: owner.start + start, count: count, owner: owner))
        }
    }
}

/// A mapped file that stays mapped while chunks of it wait to be sent.
private final class FileBytes {
    private let bytes: NSData
    init(_ data: Data) { bytes = data as NSData }
    var start: UnsafeRawPointer { bytes.bytes }
}
