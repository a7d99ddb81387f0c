import Checkpoints
import Coordination
import Terms

/// The checkpoint store of the coordinator's process: states are cut, named, kept, swept and put together again by the
/// same plans as in the real one; only the objects have no bytes. The first of a state is the same at every step of a
/// job, as frozen or unchanged parts are.
extension SimulatedCluster {
    /// Names of a state's objects, by place: the same whoever brings them.
    private func pieces(of digest: UInt64, _ job: JobID, _ plan: SavePlan) -> [Digest] {
        plan.pieces.indices.map {
            .simulated($0 == 0 ? UInt64(job.number) : Philox.mix(digest) &+ UInt64($0))
        }
    }

    /// Names of the objects of a job's state.
    func objects(of digest: UInt64, _ record: SimulatedCoordinator.JobRecord) -> [Digest] {
        pieces(of: digest, record.id, plan(record))
    }

    private func plan(_ record: SimulatedCoordinator.JobRecord) -> SavePlan { references[record.reference].savePlan }

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
        put(place, record, chunk.range)
        let all = plan(head.records[record]).pieces.count
        let isEnough = bug == .incompletePublished && head.collections[place].objects.count >= all / 2
        guard head.collections[place].objects.count == all || isEnough else { return }
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

    /// Puts the objects that whoever saves `range` brings.
    private func put(_ place: Int, _ record: Int, _ range: Range<UInt64>) {
        let collection = head.collections[place]
        let plan = plan(head.records[record])
        let names = collection.names
        for piece in plan.pieces(startingIn: Int(range.lowerBound)..<Int(range.upperBound)) {
            if collection.objects.contains(names[piece]) {
                fail(.c6, "two workers bring the same object of step \(collection.step)")
            }
            head.collections[place].objects.append(names[piece])
            if !head.records[record].objects.contains(names[piece]) {
                head.records[record].objects.append(names[piece])
            }
        }
    }

    /// Looks at the newest checkpoints at a start: a damaged one is passed over for the one before it.
    func examineStore() {
        for place in head.records.indices {
            let id = head.records[place].id
            // Checkpoints of one state name the same objects, and are damaged together.
            let checkpoints = head.records[place].checkpoints
            let others = checkpoints.filter { $0.digest != checkpoints.last?.digest }
            if !isCalm, !others.isEmpty, dice.chance(plan.rottenCheckpoints) {
                faults += 1
                if let last = checkpoints.last, last.step < head.records[place].committed {
                    head.records[place].passed.insert(last.step)
                }
                head.records[place].checkpoints = others
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

    /// Makes a checkpoint exist, and lets go of what its job's policy does not keep.
    func publish(_ collection: SimulatedCoordinator.Collection) {
        guard let place = record(collection.job) else { return }
        if collection.hasFailedSync {
            fail(
                .c10,
                "job \(collection.job): a checkpoint of step \(collection.step) is there, of which a sync has failed")
        }
        checkRestoring(collection, head.records[place])
        let reference = references[head.records[place].reference]
        // What the store goes on from: the newest of the line in force.
        let parent = head.records[place].checkpoints.last {
            $0.step <= collection.step && $0.digest == reference.digest($0.step)
        }
        let (sequence, restores) = head.records[place].place(after: parent)
        head.records[place].checkpoints.append(
            SimulatedCheckpoint(
                step: collection.step, digest: collection.digest, kind: collection.kind,
                isVerified: collection.isReadBack, sequence: sequence, epoch: Int(head.epoch), restores: restores,
                life: head.life))
        retain(place, reference)
        sweep(place)
    }

    /// Invariant: what is put together from a checkpoint's manifest is what was saved, in its order.
    private func checkRestoring(
        _ collection: SimulatedCoordinator.Collection, _ record: SimulatedCoordinator.JobRecord
    ) {
        let plan = plan(record)
        let saved = collection.names
        let isWhole = collection.objects.count == saved.count
        let named = bug == .objectsInOrderOfArrival && isWhole ? collection.objects : saved
        let manifest = plan.manifest(named, of: collection.job, step: collection.step)
        let restored = try? RestorePlan(manifest: manifest, layout: plan.layout).pieces
        let isSame =
            restored?.count == saved.count
            && zip(restored ?? [], zip(plan.pieces, saved)).allSatisfy { restored, saved in
                restored.digest == saved.1 && restored.role == saved.0.role && restored.offset == saved.0.offset
            }
        if !isSame {
            fail(.c6, "job \(collection.job): what is loaded of step \(collection.step) is not what was saved")
        }
    }

    /// Lets go of checkpoints by the job's policy. Invariant: trunks and final ones stay, and two of its line as soon
    /// as there were two.
    private func retain(_ place: Int, _ reference: Reference) {
        let record = head.records[place]
        let policy = RetentionPolicy(last: record.keys.saveTotalLimit, every: record.keys.keepEvery)
        let candidates = record.checkpoints.map { $0.candidate(bug) }
        let gone = Set(policy.decide(candidates).filter { !$0.keeps }.map(\.name))
        let kept = zip(record.checkpoints, candidates).filter { !gone.contains($1.name) }.map(\.0)
        func isOfLine(_ checkpoint: SimulatedCheckpoint) -> Bool {
            checkpoint.digest == reference.digest(checkpoint.step)
        }
        if kept.count(where: \.isPinned) != record.checkpoints.count(where: \.isPinned) {
            fail(.c3, "job \(record.id): a trunk or a final checkpoint goes")
        }
        if kept.count(where: isOfLine) < min(2, record.checkpoints.count(where: isOfLine)) {
            fail(.c3, "job \(record.id): one of the two newest checkpoints of its line goes")
        }
        head.records[place].checkpoints = kept
    }

    /// Lets go of the objects that nothing names: no manifest, and no checkpoint that is being collected or written.
    private func sweep(_ place: Int) {
        let record = head.records[place]
        let plan = plan(record)
        let names = record.checkpoints.map { pieces(of: $0.digest, record.id, plan) }
        let manifests = zip(record.checkpoints, names).map { plan.manifest($1, of: record.id, step: $0.step) }
        let preparing = Set(head.collections.filter { $0.job == record.id }.flatMap(\.objects))
        let pruning = PrunePlan(
            objects: record.objects.map { .init(digest: $0, bytes: 1, ageSeconds: 1) }, manifests: manifests,
            preparing: bug == .savedObjectsSwept ? [] : preparing, graceSeconds: 0)
        let gone = Set(pruning.sweep.map(\.digest))
        if !gone.isDisjoint(with: names.joined()) || !gone.isDisjoint(with: preparing) {
            fail(.c4, "job \(record.id): an object goes that a checkpoint, or one in the making, is of")
        }
        if !gone.isEmpty { head.records[place].objects.removeAll { gone.contains($0) } }
        let there = Set(head.records[place].objects)
        let missing = zip(record.checkpoints, names).first { !there.isSuperset(of: $1) }?.0
        if let missing {
            fail(
                .c1, "job \(record.id): the checkpoint of step \(missing.step) is there, and not all of its objects are"
            )
        }
    }
}
