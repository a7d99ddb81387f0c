import Coordination
import Foundation
import StorageShell
import Terms
import Wire

extension CoordinatorService {
    /// A client that is told of a job's events: first what the log holds, then, when it wants that, what happens.
    struct Follower {
        var session: SessionID
        var request: UInt64
        var job: JobID
        /// Goes on until the job rests.
        var isLive: Bool
        /// The newest step that it was told of.
        var step: Step
        /// What it has to be told from the log before anything else; nil when it has heard everything.
        var backlog: LogBacklog?
        /// Bytes of the log that hold nothing new to it.
        var heard = 0
        /// It was told everything.
        var isOver = false
    }

    /// Lines of a log from some place on.
    struct LogBacklog {
        private let lines: Data
        private var position: Data.Index
        /// Bytes of the file that came before.
        private let start: Int

        /// Reads what follows the first `start` bytes of a log; nil when nothing does.
        init?(_ path: String, from start: Int) {
            guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
            defer { try? handle.close() }
            guard (try? handle.seek(toOffset: UInt64(start))) != nil, let lines = try? handle.readToEnd(),
                let end = lines.lastIndex(of: 0x0A)
            else { return nil }
            self.lines = lines[...end]
            self.start = start
            position = lines.startIndex
        }

        /// Bytes of the file up to the last line taken.
        var end: Int { start + lines.distance(from: lines.startIndex, to: position) }

        mutating func next() -> Data? {
            guard position < lines.endIndex, let end = lines[position...].firstIndex(of: 0x0A) else { return nil }
            defer { position = lines.index(after: end) }
            return lines[position..<end]
        }
    }

    /// Begins to tell a client of a job: what the log holds after a step, then, when `live`, every event until it
    /// rests.
    func follow(_ request: JSONValue, _ id: UInt64, _ session: SessionID) {
        guard let job = request["job"]?.int.flatMap({ UInt32(exactly: $0) }).map({ JobID($0) }), core.job(job) != nil
        else {
            let problem = Self.problem("the coordinator knows no such job")
            return send(.reply(id: id, last: true, body: problem.encoded()), to: session)
        }
        followers.removeAll { $0.session == session && $0.job == job }
        followers.append(
            Follower(
                session: session, request: id, job: job, isLive: request["live"]?.bool == true,
                step: request["after_step"]?.int ?? 0, backlog: LogBacklog(logPath(job), from: 0)))
        moveFollower(followers.count - 1)
        followers.removeAll { $0.isOver }
    }

    private func logPath(_ job: JobID) -> String { "\(options.jobFolder(job))/trainer_log.jsonl" }

    /// Goes on with everybody who is behind.
    func moveFollowers() {
        guard followers.contains(where: { $0.backlog != nil || !$0.isLive }) else { return }
        for place in followers.indices { moveFollower(place) }
        followers.removeAll { $0.isOver }
    }

    /// Tells a follower what it has not heard, as far as its connection takes it.
    private func moveFollower(_ place: Int) {
        guard followers[place].backlog != nil || !followers[place].isLive || isAtRest(followers[place].job) else {
            return
        }
        let (session, job) = (followers[place].session, followers[place].job)
        // Not the whole of a long log at once: others wait.
        var left = 1000
        while followers[place].backlog != nil {
            while left > 0, !isCongested(session), let line = followers[place].backlog?.next() {
                left -= 1
                guard let value = try? JSONValue.parse(Array(line)), let step = value["current_steps"]?.int,
                    step > followers[place].step
                else { continue }
                followers[place].step = step
                reply(place, Self.tagged("step", value), last: false)
            }
            if left == 0 || isCongested(session) { return }
            // What was logged meanwhile.
            followers[place].heard = followers[place].backlog?.end ?? 0
            followers[place].backlog = LogBacklog(logPath(job), from: followers[place].heard)
        }
        guard let run = core.job(job) else { return }
        if run.state.isAtRest {
            reply(place, end(job), last: true)
        } else if !followers[place].isLive {
            reply(
                place, .members(["event": .string("state"), "state": .string(run.state.rawValue)]), last: true)
        }
    }

    /// A job's log was cut back: what comes behind its end is new to everybody, and who is behind begins again.
    func cutFollowers(of job: JobID, to bytes: Int) {
        for place in followers.indices where followers[place].job == job {
            followers[place].heard = min(followers[place].heard, bytes)
            if followers[place].backlog != nil { followers[place].backlog = LogBacklog(logPath(job), from: 0) }
        }
    }

    private func reply(_ place: Int, _ value: JSONValue, last: Bool) {
        let follower = followers[place]
        send(.reply(id: follower.request, last: last, body: value.encoded()), to: follower.session)
        if last { followers[place].isOver = true }
    }

    /// Gives an event to everybody who follows its job. Whoever takes nothing for the time being is told what the log
    /// keeps as soon as it does.
    func distribute(_ job: JobID?, _ event: JSONValue) {
        observer(job, event)
        let isLast = event["event"]?.string == "end"
        for place in followers.indices where followers[place].job == job && followers[place].backlog == nil {
            if isCongested(followers[place].session) {
                followers[place].backlog = LogBacklog(
                    logPath(followers[place].job), from: followers[place].heard)
                if followers[place].backlog != nil { continue }
            }
            if let size = desk(followers[place].job)?.log.bytes { followers[place].heard = size }
            if let step = event["current_steps"]?.int { followers[place].step = step }
            reply(place, event, last: isLast)
        }
        if isLast { followers.removeAll { $0.isOver } }
    }
}
