import Coordination
import Terms

/// The checkpoint store of the coordinator's process: a state is four objects, named by what they hold, of which the
/// first is the same at every step of a job, as frozen or unchanged parts are. Manifests name them in their order.
extension SimulatedCluster {
    private static let pieces = 4

    /// Names of a state's objects, by place: the same whoever brings them.
    private func pieces(of digest: UInt64, _ job: JobID) -> [UInt64] {
        (0..<Self.pieces).map { Philox.mix($0 == 0 ? UInt64(job.number) : Philox.mix(digest) &+ UInt64($0)) }
    }

    func storeReceives(_ chunk: Chunk, from: Int) {
        guard head.core != nil else { return }
        switch chunk.kind {
        case .saved: collect(chunk)
        case .stateRequest:
            guard let place = record(chunk.job) else { return }
            guard let found = head.records[place].checkpoints.last(where: { $0.step == chunk.step }) else {
                return fail(
                    .c2, "a worker is to heal from a checkpoint of step \(chunk.step) that the store does not hold")
            }
            var answer = chunk
            answer.kind = .state
            answer.digest = found.digest
            send(answer, from: Self.headEnd, to: from, extra: dice.span(milliseconds: 1...300) * Int64(healingScale))
        case .node, .root, .state, .plea, .grant: break
        }
    }

    private func collect(_ chunk: Chunk) {
        guard
            let place = head.collections.firstIndex(where: {
                $0.job == chunk.job && $0.attempt == chunk.attempt && $0.step == chunk.step && !$0.isWriting
            }), let record = record(chunk.job)
        else { return }
        guard chunk.digest == head.collections[place].digest else {
            return fail(.c5, "a checkpoint of step \(chunk.step) mixes states")
        }
        guard !head.collections[place].arrived.contains(where: { $0.overlaps(chunk.range) }) else {
            return fail(.c6, "two workers bring the same elements of step \(chunk.step)")
        }
        head.collections[place].arrived.append(chunk.range)
        head.collections[place].missing -= UInt64(chunk.range.count)
        put(place, record)
        let parameters = UInt64(references[head.records[record].reference].description.parameters)
        let isEnough = bug == .incompletePublished && head.collections[place].missing <= parameters / 2
        guard head.collections[place].missing == 0 || isEnough else { return }
        head.collections[place].isWriting = true
        // One after another: a checkpoint that was given up meanwhile is still written first.
        let end = max(now, head.storeIsFreeAt) + dice.span(milliseconds: 2...3000)
        head.storeIsFreeAt = end
        schedule(
            .storeFinishes(
                life: head.life, job: chunk.job, attempt: chunk.attempt,
                isGood: isCalm || (!dice.chance(plan.publishFails) && head.diskIsFullUntil <= end)),
            at: end)
    }

    /// Puts the objects whose elements have all come.
    private func put(_ place: Int, _ record: Int) {
        let collection = head.collections[place]
        let parameters = UInt64(references[head.records[record].reference].description.parameters)
        for (piece, name) in pieces(of: collection.digest, collection.job).enumerated() {
            let from = parameters * UInt64(piece) / UInt64(Self.pieces)
            let to = parameters * UInt64(piece + 1) / UInt64(Self.pieces)
            let come = collection.arrived.reduce(0) { $0 + $1.clamped(to: from..<to).count }
            guard come == Int(to - from), !collection.objects.contains(name) else { continue }
            head.collections[place].objects.append(name)
            if !head.records[record].objects.contains(name) { head.records[record].objects.append(name) }
        }
    }

    /// Looks at the newest checkpoints at a start: a damaged one is passed over for the one before it.
    func examineStore() {
        for place in head.records.indices {
            let id = head.records[place].id
            if !isCalm, head.records[place].checkpoints.count > 1, dice.chance(plan.rottenCheckpoints) {
                faults += 1
                head.records[place].checkpoints.removeLast()
                tell("the newest checkpoint of job \(id) is damaged")
            }
            guard let run = head.core?.job(id) else { continue }
            // One of a line that the run has left is sound, and of no use.
            let newest = head.records[place].checkpoints.last { run.knows($0.digest, at: $0.step) }?.step ?? 0
            guard run.saved > newest else { continue }
            if let output = head.core?.noteFound(newest, of: id) { carryOut(output) }
            if let saved = head.core?.job(id)?.saved, saved > newest {
                fail(.c8, "job \(id): a checkpoint of step \(saved) is believed, the newest sound one is of \(newest)")
            }
        }
    }

    func storeFinishes(_ life: Int, _ job: JobID, _ attempt: UInt32, _ isGood: Bool) {
        guard head.core != nil, head.life == life,
            let place = head.collections.firstIndex(where: { $0.job == job && $0.attempt == attempt && $0.isWriting })
        else { return }
        var collection = head.collections.remove(at: place)
        trace.note(now, what: 11, whom: isGood ? 1 : 0)
        if !isGood {
            faults += 1
            collection.hasFailedSync = true
            guard bug == .failedSyncTriedAgain else {
                return feedCoordinator(
                    .publishFailed(job, step: collection.step, attempt: attempt, problem: "disk full"))
            }
        }
        publish(collection)
        feedCoordinator(.published(job, step: collection.step, attempt: attempt))
    }

    /// Makes a checkpoint exist, and lets go of all but the newest two, trunks and final ones.
    func publish(_ collection: SimulatedCoordinator.Collection) {
        guard let place = record(collection.job) else { return }
        if collection.hasFailedSync {
            fail(
                .c10,
                "job \(collection.job): a checkpoint of step \(collection.step) is there, of which a sync has failed")
        }
        let named = bug == .objectsInOrderOfArrival && collection.objects.count == Self.pieces
        let names = named ? collection.objects : pieces(of: collection.digest, collection.job)
        if names != pieces(of: collection.digest, collection.job) {
            fail(.c6, "job \(collection.job): what is loaded of step \(collection.step) is not what was saved")
        }
        // A later one of the same step stands beside a trunk or a final one, and takes nothing from it.
        let known = head.records[place].checkpoints.first { $0.step == collection.step }?.kind
        let kind = known == .trunk || known == .final ? known ?? collection.kind : collection.kind
        head.records[place].checkpoints.removeAll { $0.step == collection.step }
        head.records[place].checkpoints.append((collection.step, collection.digest, kind))
        let extra = head.records[place].checkpoints.dropLast(2).firstIndex { $0.kind != .trunk && $0.kind != .final }
        if let extra { head.records[place].checkpoints.remove(at: extra) }
        let reference = references[head.records[place].reference]
        if !head.records[place].checkpoints.contains(where: { $0.digest == reference.digest($0.step) }) {
            fail(.c3, "job \(collection.job): no checkpoint of its line is left")
        }
        sweep(place)
    }

    /// Lets go of the objects that nothing names: no manifest, and no checkpoint that is being collected or written.
    private func sweep(_ place: Int) {
        let record = head.records[place]
        let named = record.checkpoints.flatMap { pieces(of: $0.digest, record.id) }
        let prepared = head.collections.filter { $0.job == record.id }.flatMap(\.objects)
        let kept = bug == .savedObjectsSwept ? named : named + prepared
        for name in record.objects where !kept.contains(name) && (named.contains(name) || prepared.contains(name)) {
            fail(.c4, "job \(record.id): an object goes that a checkpoint, or one in the making, is of")
        }
        head.records[place].objects.removeAll { !kept.contains($0) }
        if let missing = record.checkpoints.first(where: { checkpoint in
            !pieces(of: checkpoint.digest, record.id).allSatisfy(head.records[place].objects.contains)
        }) {
            fail(
                .c1, "job \(record.id): the checkpoint of step \(missing.step) is there, and not all of its objects are"
            )
        }
    }
}
