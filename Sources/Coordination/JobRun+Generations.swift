import Collectives
import Terms
import Wire

extension JobRun {
    /// Places of the workers that have this job loaded, stay, and may work together, oldest connection first, at most
    /// `memberLimit`.
    private func eligible(_ crew: Crew) -> [Int] {
        let loaded = crew.indices.filter { crew[$0].load == .loaded && !crew[$0].isWithdrawn }
        guard description.isExact, let profile = profile ?? mostCommon(loaded.map { profile(of: crew[$0]) }) else {
            return Array(loaded.prefix(description.memberLimit))
        }
        return Array(loaded.filter { self.profile(of: crew[$0]) == profile }.prefix(description.memberLimit))
    }

    /// The profile of most workers; of two equally common ones that of the oldest connection.
    private func mostCommon(_ profiles: [UInt64]) -> UInt64? {
        let counts = profiles.map { profile in profiles.count { $0 == profile } }
        guard let most = counts.max(), let place = counts.firstIndex(of: most) else { return nil }
        return profiles[place]
    }

    /// What of a worker's profile decides the bits of this job: the lower half is of fp32, the upper half of bf16.
    private func profile(of worker: SessionRecord) -> UInt64 { worker.profile & profileMask }

    var profileMask: UInt64 { description.multipliesBF16 ? .max : 0xFFFF_FFFF }

    mutating func gather(
        _ crew: Crew, _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        let workers = eligible(crew)
        guard workers.count >= description.memberMinimum else {
            gatheredAt = nil
            if wantsPause { return rest(.paused, reason: "paused by request", &output) }
            if state == .running || state == .starting {
                move(
                    to: .waitingForWorkers, reason: "\(workers.count) of \(description.memberMinimum) workers", &output)
            }
            return
        }
        if state == .queued, bug != .queuedJobRuns { move(to: .starting, reason: "\(workers.count) workers", &output) }
        gatheredAt = gatheredAt ?? now
        // Workers that are still loading are worth a short wait: the first generation is then the only one. So are
        // those that will come back to a coordinator that was away: they hold the newest state.
        let more = returns || crew.indices.contains { crew[$0].load == .loading }
        let isOver = now >= (gatheredAt ?? now) + gatherWindow(times)
        guard !more || workers.count == description.memberLimit || isOver, now >= opensAfter else { return }
        open(workers.map { crew[$0] }, now, &output)
    }

    func gatherWindow(_ times: CoordinatorTimes) -> Span { returns ? times.returnWindow : times.gatherWindow }

    /// Before the next generation after one in which members lost each other; doubled each time until a step counts.
    private static let stallPause = Span.milliseconds(100)

    /// Opens the next generation: everybody stops and says where it stands.
    private mutating func open(_ workers: [SessionRecord], _ now: Instant, _ output: inout CoordinatorOutput) {
        if bug != .generationNumberUsedAgain || committed == 0 { generation = generation.next }
        generationOpenedAt = now
        gatheredAt = nil
        returns = false
        phase = .preparing
        evaluation = nil
        abandonSave(&output)
        postOverhead(&output)
        if members.map(\.node) != workers.map(\.node) { rebalancings = 0 }
        members = workers.map {
            MemberRecord(
                session: $0.id, node: $0.node, threads: $0.threads, milliwatts: $0.milliwatts, drawnSince: meter.wall,
                reportedAt: now)
        }
        tick(now)
        if bug != .generationNotJournalled { output.journal.append(.generation(id, generation)) }
        if profile == nil, description.isExact, let first = workers.first {
            let common = profile(of: first)
            profile = common
            output.journal.append(.profile(id, common))
        }
        for member in members { output.sends.append((member.session, .prepare(id, generation))) }
    }

    /// A save whose members change can't be completed; it is taken again at the next boundary.
    private mutating func abandonSave(_ output: inout CoordinatorOutput) {
        guard let saving, bug != .saveNotAbandoned else { return }
        output.commands.append(.abandon(id, attempt: saving.attempt))
        wantsSave = saving.reason
        self.saving = nil
    }

    /// Ends the generation here and now; `advance` opens the next one with whoever is left, without waiting.
    mutating func interrupt(_ now: Instant, _ output: inout CoordinatorOutput) {
        postOverhead(&output)
        phase = .gathering
        idleSince = now
        gatheredAt = Instant(nanoseconds: .min / 2)
        members = []
        evaluation = nil
        abandonSave(&output)
    }

    mutating func lost(_ session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput) {
        guard members.contains(where: { $0.session == session }) else { return }
        failures += 1
        interrupt(now, &output)
    }

    mutating func prepared(
        _ standing: Standing, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard phase == .preparing, standing.generation == generation,
            let rank = members.firstIndex(where: { $0.session == session })
        else { return }
        members[rank].standing = standing
        for report in standing.reports { accept(report, &output) }
    }

    /// All members stand still: decides the target step, who heals from whom, and who does what.
    mutating func begin(_ crew: Crew, _ now: Instant, _ output: inout CoordinatorOutput) {
        let standings = members.map { $0.standing! }
        let newest = standings.filter { $0.hasState && isKnown($0) }.map { Step(clamping: $0.step) }.max()
        let target = max(newest ?? 0, saved)
        let sources = standings.indices.filter {
            standings[$0].hasState && Step(clamping: standings[$0].step) == target && isKnown(standings[$0])
        }
        applied = target
        leased = target
        // What was leased and is not applied is leased anew.
        closeLeases(&output)
        var intervals = Self.intervals(shards: description.virtualShards, rates: memberRates(crew))
        if bug == .shardToTwoMembers, let last = intervals.indices.last, last > 0 { intervals[last].lower -= 1 }
        let first = firstShards(standings, intervals, target)
        let slices = Partition.slices(parameters: description.parameters, members: members.count)
        let roster = Roster(
            job: id, generation: generation,
            members: members.indices.map { rank in
                Member(
                    node: members[rank].node,
                    dataEndpoint: crew.place(of: members[rank].session).map { crew[$0].dataEndpoint } ?? "",
                    shards: intervals[rank], firstShards: first[rank],
                    slice: UInt64(slices[rank].lowerBound)..<UInt64(slices[rank].upperBound))
            },
            target: UInt64(target), digest: digests[target], sources: sources.map(UInt32.init))
        for member in members { output.sends.append((member.session, .begin(roster))) }
        shardsPerMember = intervals.map(\.count)
        phase = .beginning
        output.notices.append(.generation(id, generation, workers: members.map(\.node), from: target))
    }

    /// By rank: shards a second, or threads as long as nobody is measured.
    private func memberRates(_ crew: Crew) -> [Double] {
        let rates = members.map { member in crew.place(of: member.session).flatMap { crew[$0].rate } }
        let measured = rates.compactMap(\.self)
        let fallback = measured.isEmpty ? 1 : measured.reduce(0, +) / Double(measured.count)
        return zip(rates, members).map { $0 ?? (measured.isEmpty ? Double(max(1, $1.threads)) : fallback) }
    }

    /// Whether the shards, cut anew by what is measured, would make a step shorter by more than a tenth.
    func isUneven(_ crew: Crew, _ now: Instant) -> Bool {
        guard members.count > 1, now >= rebalancesAfter, members.allSatisfy({ $0.step > 0 }) else { return false }
        let rates = memberRates(crew)
        func span(_ counts: [Int]) -> Double { zip(counts, rates).map { Double($0) / max($1, 1e-9) }.max() ?? 0 }
        return span(Self.intervals(shards: description.virtualShards, rates: rates).map(\.count)) < 0.9
            * span(shardsPerMember)
    }

    /// Before the shards may be cut anew for their own sake; doubled each time.
    private static let rebalancePause = Span.seconds(2)

    mutating func noteRebalancing(_ now: Instant) {
        rebalancings += 1
        rebalancesAfter = now + Self.rebalancePause * Int64(1 << min(rebalancings, 8))
    }

    /// Cuts the shards by speed, but leaves nobody without one.
    ///
    /// A member without shards holds nobody back: the others could be two steps ahead of it, and sums of the next step
    /// reach it while it still applies the last one.
    private static func intervals(shards: Int, rates: [Double]) -> [ShardRange] {
        var counts = Partition.intervals(shards: shards, rates: rates).map(\.count)
        for idle in counts.indices where counts[idle] == 0 {
            let latest = counts.indices.filter { counts[$0] > 1 }.max {
                Double(counts[$0]) / rates[$0] < Double(counts[$1]) / rates[$1]
            }
            guard let latest else { break }
            counts[latest] -= 1
            counts[idle] += 1
        }
        var lower = 0
        return counts.map { count in
            defer { lower += count }
            return ShardRange(lower, lower + count)
        }
    }

    /// True when the worker's state is one that this job can go on from: it counts, and its digest is the one on
    /// record.
    ///
    /// After a rewind a worker may come back with a state beyond what counts and without the reports that would make it
    /// count again. Going on from there would leave steps out.
    private func isKnown(_ standing: Standing) -> Bool {
        let step = Step(clamping: standing.step)
        return step <= committed && (step == 0 || digests[step] == standing.digest)
    }

    /// Shards of the first step: whoever holds sums keeps them, the rest goes to the members in proportion to
    /// `intervals`.
    private mutating func firstShards(_ standings: [Standing], _ intervals: [ShardRange], _ target: Step)
        -> [[ShardRange]]
    {
        guard target < endStep, let tag = line(target + 1)?.tag else { return intervals.map { [$0] } }
        var owner = [Int?](repeating: nil, count: description.virtualShards)
        for (rank, standing) in standings.enumerated()
        where standing.hasState && Step(clamping: standing.step) == target && standing.heldTag == tag {
            for node in standing.held
            where node.upper <= owner.count && owner[node.lower..<node.upper].allSatisfy({ $0 == nil }) {
                for shard in node.lower..<node.upper { owner[shard] = rank }
            }
        }
        let missing = owner.indices.filter { owner[$0] == nil }
        // What came out infinite at one member is computed by another.
        let suspects = nonFinite.step == target + 1 ? nonFinite.nodes : []
        let isAnybodyElse = members.contains { !suspects.contains($0.node) }
        let rates = zip(intervals, members).map { interval, member in
            isAnybodyElse && suspects.contains(member.node) ? 0 : Double(interval.count)
        }
        var next = 0
        for (rank, part) in Partition.intervals(shards: missing.count, rates: rates).enumerated() {
            for _ in 0..<part.count {
                owner[missing[next]] = bug == .missingShardsForgotten && missing.count < owner.count ? nil : rank
                next += 1
            }
        }
        return members.indices.map { rank in
            var ranges: [ShardRange] = []
            for shard in owner.indices where owner[shard] == rank {
                if let last = ranges.last, last.upper == shard {
                    ranges[ranges.count - 1].upper += 1
                } else {
                    ranges.append(ShardRange(shard, shard + 1))
                }
            }
            return ranges
        }
    }

    /// A member stands at the target; false when its state is not the job's.
    mutating func ready(_ position: Position, from session: SessionID) -> Bool {
        guard phase == .beginning, position.generation == generation, position.step == UInt64(applied),
            let rank = members.firstIndex(where: { $0.session == session })
        else { return true }
        guard applied == 0 || position.digest == digests[applied] || bug == .wrongStateAccepted else { return false }
        members[rank].isReady = true
        members[rank].step = applied
        return true
    }

    mutating func run(_ now: Instant, _ output: inout CoordinatorOutput) {
        // Gathering everybody at one state was no step's work.
        postOverhead(&output)
        pace.restart()
        phase = .running
        rebalancesAfter = max(rebalancesAfter, now + Self.rebalancePause)
        output.notices.append(.ready(id, generation, after: now - generationOpenedAt))
        move(to: .running, reason: "generation \(generation), \(members.count) workers", &output)
    }

    mutating func trouble(
        _ trouble: Trouble, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard trouble.generation == generation, let rank = members.firstIndex(where: { $0.session == session }) else {
            return
        }
        output.notices.append(.trouble(id, node: members[rank].node, text: trouble.text))
        switch trouble.kind {
        case .nonFinite:
            let step = Step(clamping: trouble.step)
            let known = nonFinite.step == step ? nonFinite.nodes : []
            // Computed elsewhere it came out the same, or there is nowhere else: it is the job, not a machine.
            if !known.isEmpty { return rest(.diverged, reason: "step \(step): \(trouble.text)", &output) }
            nonFinite = (step, known + [members[rank].node])
        case .digest, .local, .stalled, .memory:
            fruitless += 1
            opensAfter = now + Self.stallPause * Int64(1 << min(fruitless - 1, 8))
        }
        interrupt(now, &output)
    }
}
