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
        while let event = try dataMonitor.connectionEvent() {
            if event.kind == .lost { chunks.drop(event.value) }
        }
        var received = 0
        // What the disk does not take yet stays in the network: workers wait, memory does not grow.
        while received < 256, !desks.contains(where: { $0.desk.checkpoints.isFull }),
            let frames = try data.receive(limit: 4)
        {
            received += 1
            try receiveData(frames)
        }
        chunksLeft = try chunks.flush(limit: 256) { route, chunk in
            try data.send(
                header: chunk.header, payload: chunk.payload, count: chunk.count, owner: chunk.owner, prefix: [route])
        }
    }

    private func receiveData(_ frames: [ZeroMQSocket.Frame]) throws {
        guard frames.count == 3, let header = try? DataHeader(decoding: frames[1].bytes) else {
            return complain("dropped a malformed chunk")
        }
        guard mayMove(header.kind, frames[2].userID) else {
            return complain("dropped a chunk of somebody who may not send it")
        }
        switch header.kind {
        case .checkpoint: desk(header.job)?.checkpoints.receive(header, frames[2].bytes)
        case .object:
            // Only this process's own children write into the store; from others it takes bytes.
            guard gate == nil || header.count == 0 else { return }
            desk(header.job)?.checkpoints.receiveStored(header, frames[2].bytes)
        case .stateRequest: serveState(header, to: frames[0].bytes, on: frames[1].connection)
        case .fileRequest: serveFile(header, frames[2].bytes, to: frames[0].bytes, on: frames[1].connection)
        case .file: files?.receive(header, frames[2].bytes)
        case .node, .root, .state, .plea, .grant, .shelf, .room: break
        }
    }

    /// Warns of what strangers send; they can't fill the log.
    func complain(_ sentence: String) {
        guard let silenced = complaints.admit(at: Self.now()) else { return }
        log.warning("\(sentence)\(silenced > 0 ? " (and \(silenced) more since the last line)" : "")")
    }

    /// Whether the sender of a chunk may send it; on loopback nobody is asked. Clients move files, workers everything
    /// else.
    private func mayMove(_ kind: DataHeader.Kind, _ userID: String?) -> Bool {
        guard let gate, !PeerAddress.isLoopback(options.listen) else { return true }
        return switch gate.entry(userID)?.role {
        case .worker: kind != .file
        case .client: kind == .file || kind == .fileRequest
        case .workerInvitation, .clientInvitation, nil: false
        }
    }

    /// Sends a member the part of the newest checkpoint that it asks for. A checkpoint that can't be read costs its job
    /// this life, not the others theirs.
    private func serveState(_ header: DataHeader, to route: [UInt8], on descriptor: Int32) {
        guard let run = core.job(header.job), run.generation == header.generation, !run.state.isAtRest,
            let desk = desk(header.job)
        else { return }
        do {
            guard let answer = try desk.checkpoints.serve(header) else {
                guard header.step == UInt64(run.saved) else { return }
                throw DeskError(description: "the store has no checkpoint of step \(run.saved)")
            }
            chunks.add(answer, to: route, on: descriptor)
        } catch { giveUp(header.job, "its checkpoint can't be used: \(error)") }
    }

    /// Sends the range that is asked for of one of the job's own files; no other file can be asked for. When it can't
    /// be had, it says why.
    private func serveFile(_ header: DataHeader, _ digest: [UInt8], to route: [UInt8], on descriptor: Int32) {
        var answer = header
        answer.kind = .file
        do {
            guard let wanted = Digest(bytes: digest), let path = file(of: header.job, wanted) else {
                throw DeskError(description: "job \(header.job) has no such file")
            }
            guard let file = SentFile(path) else { throw DeskError(description: "the coordinator can't read \(path)") }
            let range = Int(header.offset)..<Int(header.offset + header.count)
            guard range.upperBound <= file.bytes.count else { throw DeskError(description: "\(path) has changed") }
            chunks.add(
                .init(
                    header: answer, payload: file.bytes.baseAddress! + range.lowerBound, bytes: range.count, unit: 1,
                    owner: file),
                to: route, on: descriptor)
        } catch {
            answer.count = 0
            let text = SentBytes(Data("\(error)".utf8.prefix(2000)))
            chunks.add(
                .init(header: answer, payload: text.start, bytes: text.count, unit: 1, owner: text), to: route,
                on: descriptor)
        }
    }
}

/// Bytes that stay where they are while chunks of them wait to be sent.
private final class SentBytes {
    private let bytes: NSData
    init(_ data: Data) { bytes = data as NSData }
    var start: UnsafeRawPointer { bytes.bytes }
    var count: Int { bytes.count }
}
