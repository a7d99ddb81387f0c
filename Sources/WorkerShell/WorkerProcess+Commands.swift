import Collectives
import Coordination
import Kernels
import Recipes
import Terms
import Training
import Wire
import ZeroMQShell

extension WorkerProcess {
    func carryOut(_ command: WorkerCommand) {
        switch command {
        case .load(let id, let description): load(id, description)
        case .unload(let id):
            guard job?.id == id else { return }
            dropJob()
        case .stop(let id, let generation):
            gathered = nil
            healing = nil
            links.clear()
            arriving?.fetch.forget()
            let loaded = job?.loaded
            engine.interrupt { [held, mailbox] in
                // A save does not outlive its generation, and the state may be replaced from here on.
                loaded?.endSnapshot()
                let (nodes, tag) = held.inventory
                mailbox.post(.event(.quiesced(id, generation, held: nodes, tag: tag)))
            }
        case .enter(let roster, let rank, let keep): enter(roster, rank, keep)
        case .heal(let roster, _, let source): heal(roster, source)
        case .compute(let id, let generation, let recipe, let ranges):
            guard let job, job.id == id, let course = session.job else { return }
            lookAhead(job.loaded.blocks(of: ranges, from: recipe), isStep: true)
            engine.compute(job.loaded, id, generation, recipe, ranges, held: held, digest: course.digest)
        case .help(let id, let generation, let recipe, let shardTime, let turn):
            ask(id, generation, recipe, shardTime, turn)
        case .give(let plea, let most): answer(plea, engine.give(plea, most: most), isLoan: false)
        case .lend(let plea): if !engine.lend(plea) { answer(plea, nil, isLoan: false) }
        case .takeOver(let id, let generation, let recipe, let node, let isLoan):
            guard let job, job.id == id, let course = session.job else { return }
            engine.help(
                job.loaded, id, generation, recipe, node, isLoan: isLoan, held: held, digest: course.digest)
        case .abandon(_, let generation, let step): engine.abandon(generation, step)
        case .apply(let id, let generation, let recipe):
            guard let job, job.id == id, let gathered, gathered.step == recipe.step else { return }
            self.gathered = nil
            let loaded = job.loaded
            let sum = SendableGradient(pointer: gathered.gradient, owner: gathered.owner)
            let flips = recipe.step == options.flipsBitAfter
            if flips { options.flipsBitAfter = nil }
            engine.run { [held, mailbox] in
                let (report, stalled) = loaded.apply(recipe, gradient: sum.pointer)
                if flips { loaded.flipBit() }
                held.clear(except: nil)
                withExtendedLifetime(sum) {}
                mailbox.post(
                    .event(
                        .applied(
                            id, generation, step: recipe.step, digest: report.digest, gradientNorm: report.gradientNorm,
                            stalledMicroseconds: stalled)))
            }
        case .evaluate(let order):
            guard let job, job.id == order.job else { return }
            lookAhead(job.loaded.blocks(ofEvaluation: order.shards), isStep: false)
            engine.evaluate(job.loaded, order)
        case .abandonEvaluation: engine.interrupt()
        case .copy(let order):
            guard let job, job.id == order.job else { return }
            let loaded = job.loaded
            engine.run { [mailbox, saver] in
                if let snapshot = loaded.beginSnapshot(order) { saver.save(snapshot, step: loaded.stepSeconds) }
                mailbox.post(.event(.copied(order)))
            }
        case .leave(let reason): leaving = reason
        }
    }

    /// Memory that goes from the reactor to the engine for one update.
    private struct SendableGradient: @unchecked Sendable {
        let pointer: UnsafeMutablePointer<Float>
        let owner: AnyObject
    }

    func take(_ outcome: Engine.Outcome) {
        switch outcome {
        case .event(let event): feed(event)
        case .node(let sum, let generation, let step, let tag):
            guard let exchange, exchange.roster.generation == generation else { return }
            forward(exchange.add(sum, step: step, tag: tag))
        case .lent(let plea, let node): answer(plea, node, isLoan: true)
        case .snapshot(let snapshot): sendShare(snapshot)
        case .stored(let order, let piece, let digest): sendStored(order, piece, digest)
        case .storeFailed(let order, let problem): sendProblem(order, problem)
        case .loaded(let id, let loaded):
            job = (id, loaded)
            saver.prepare(bytes: loaded.stateBytes)
            // What loading drew, so that the coordinator knows from the first step on that it is measured here.
            tellPower(isDue: true)
            feed(.loaded(id, parameters: loaded.trainer.count, problem: ""))
        case .lacks(let id, let description, let files): goOnLoading(id, description, lacking: files)
        case .arrives(let id, let file): beginBlocks(id, file)
        }
    }

    /// Sends what an exchange gave out; tells the core when the root is here.
    func forward(_ result: (out: [Exchange.Outgoing], gathered: Exchange.Gathered?)) {
        for chunk in result.out {
            links.send(
                .init(header: chunk.header, payload: chunk.payload, count: chunk.size, owner: chunk.owner),
                to: chunk.to)
        }
        if let done = result.gathered, let exchange {
            gathered = done
            feed(
                .gathered(
                    exchange.roster.job, exchange.roster.generation, step: done.step, lossSum: done.lossSum))
        }
    }

    private func dropJob() {
        let loaded = job?.loaded
        job = nil
        exchange = nil
        gathered = nil
        healing = nil
        fetching = nil
        endBlocks()
        held.clear(except: nil)
        links.clear()
        connectLinks()
        engine.interrupt { [saver] in
            loaded?.endSnapshot()
            saver.release()
        }
    }

    private func load(_ id: JobID, _ bytes: [UInt8]) {
        let description: JobDescription
        do { description = try JobDescription(decoding: bytes) } catch {
            return feed(.loaded(id, parameters: 0, problem: "\(error)"))
        }
        if let job, job.id == id, job.loaded.description == description {
            return feed(.loaded(id, parameters: job.loaded.trainer.count, problem: ""))
        }
        dropJob()
        finishLoading(id, description)
    }

    /// Reads model and data on the engine's thread, if all of it is here: that takes long where they are large.
    private func finishLoading(_ id: JobID, _ description: JobDescription) {
        let loader = SendableLoader(loader: loader)
        let waker = poller.waker
        engine.run { [mailbox] in
            do {
                let missing = loader.loader.missing(description)
                guard missing.isEmpty else { return mailbox.post(.lacks(id, description, missing)) }
                let blocks = try loader.loader.blocks(description) { waker.wake() }
                if let blocks {
                    mailbox.post(.arrives(id, blocks))
                    guard try loader.loader.awaitTables(blocks) else { return }
                }
                let loaded = try loader.loader.load(description, blocks: blocks)
                mailbox.post(.loaded(id, loaded))
            } catch { mailbox.post(.event(.loaded(id, parameters: 0, problem: "\(error)"))) }
        }
    }

    /// Fetches what a job still lacks, or loads it; nothing when the job was let go meanwhile.
    func goOnLoading(_ id: JobID, _ description: JobDescription, lacking files: [JobFile]) {
        guard session.job?.id == id, session.job?.isLoading == true else { return }
        if files.isEmpty { finishLoading(id, description) } else { fetch(id, description, files) }
    }

    /// The reactor takes nothing but paths from the loader; everything else of it belongs to the engine.
    struct SendableLoader: @unchecked Sendable { let loader: JobLoader }

    private func enter(_ roster: Roster, _ rank: Int, _ keep: UInt64?) {
        guard let job, job.id == roster.job else { return }
        held.clear(except: keep)
        links.clear()
        exchange = Exchange(
            roster: roster, rank: rank, node: options.node, virtualShards: job.loaded.description.virtualShards,
            parameters: job.loaded.trainer.count, root: roster.members.count > 1 ? job.loaded.root : nil,
            wire: job.loaded.wire)
        connectLinks()
        arriving?.fetch.forget()
    }

    /// Links to the coordinator's data socket and to every other member of the generation.
    func connectLinks() {
        var peers = (exchange?.roster.members ?? []).filter { $0.node != options.node }.map {
            (node: $0.node, endpoint: $0.dataEndpoint)
        }
        shelves.keep(peers.map(\.node))
        if let coordinatorEndpoint { peers.append((Self.coordinatorNode, coordinatorEndpoint)) }
        do { try links.keep(peers) } catch { leaving = "\(error)" }
    }
}
