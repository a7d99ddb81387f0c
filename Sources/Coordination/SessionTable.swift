import Terms
import Wire

/// Connections that said hello, ascending by session, with what is asked about them at every event kept up at every
/// change: who is free, who has which job, how many are on their way out. Nobody walks through all of them for that.
package struct SessionTable: Sendable, RandomAccessCollection {
    private var records: [SessionRecord] = []
    /// Workers that a job can have, ascending.
    private var free: [SessionID] = []
    /// By a job's number − 1: who has it, ascending.
    private var crews: [[SessionID]] = []
    /// Workers that do not drain.
    private(set) var staying = 0
    /// Sessions that their job lets go.
    private(set) var withdrawn = 0
    /// Those of them that can have another job then.
    private(set) var returning = 0
    /// Sessions that could not serve some job.
    private(set) var unfit = 0

    package var startIndex: Int { 0 }
    package var endIndex: Int { records.count }

    /// A session by its place; what is kept about it follows each change.
    package internal(set) subscript(place: Int) -> SessionRecord {
        _read { yield records[place] }
        _modify {
            let before = Mark(records[place])
            yield &records[place]
            let after = Mark(records[place])
            if before != after { note(records[place].id, from: before, to: after) }
        }
    }

    /// Notes that a session was heard: what happens to each of its messages, and changes nothing that is kept.
    mutating func hear(at place: Int, _ now: Instant) { records[place].lastHeard = now }

    /// Notes the number of a session's newest message.
    mutating func hear(at place: Int, number: UInt32) { records[place].heard = number }

    /// The place of a session; nil = there is none.
    func place(of id: SessionID) -> Int? {
        let place = place(from: id)
        return place < records.count && records[place].id == id ? place : nil
    }

    /// Places of the workers that a job can have, ascending.
    var freePlaces: [Int] { free.compactMap(place(of:)) }

    /// Places of the sessions that have a job, ascending.
    func places(of job: JobID) -> [Int] {
        let place = Int(job.number) - 1
        return crews.indices.contains(place) ? crews[place].compactMap(self.place(of:)) : []
    }

    /// The sessions that have a job.
    func crew(of job: JobID) -> Crew { Crew(records: records, places: places(of: job)) }

    /// Takes in a session that is not there.
    mutating func insert(_ record: SessionRecord) {
        let isNewest = records.last.map { $0.id < record.id } ?? true
        records.insert(record, at: isNewest ? records.count : place(from: record.id))
        note(record.id, from: Mark(), to: Mark(record))
    }

    mutating func remove(at place: Int) -> SessionRecord {
        let record = records.remove(at: place)
        note(record.id, from: Mark(record), to: Mark())
        return record
    }

    /// The first place whose session is not below `id`.
    private func place(from id: SessionID) -> Int {
        records.indices.partitionPoint { records[$0].id < id }
    }

    /// What of a record the counts and lists are made of.
    private struct Mark: Equatable {
        var job: JobID?
        var isFree = false
        var isStaying = false
        var isWithdrawn = false
        var isUnfit = false

        init() {}

        init(_ record: borrowing SessionRecord) {
            job = record.job
            isFree = record.isFree
            isStaying = record.role == .worker && !record.isDraining
            isWithdrawn = record.isWithdrawn
            isUnfit = !record.unfit.isEmpty
        }

        var isReturning: Bool { isWithdrawn && isStaying }
    }

    private mutating func note(_ id: SessionID, from old: Mark, to new: Mark) {
        func difference(_ mark: (Mark) -> Bool) -> Int { (mark(new) ? 1 : 0) - (mark(old) ? 1 : 0) }
        staying += difference(\.isStaying)
        withdrawn += difference(\.isWithdrawn)
        returning += difference(\.isReturning)
        unfit += difference(\.isUnfit)
        if old.isFree != new.isFree { free.set(id, isIn: new.isFree) }
        guard old.job != new.job else { return }
        if let job = old.job { crews[Int(job.number) - 1].set(id, isIn: false) }
        guard let job = new.job else { return }
        while crews.count < job.number { crews.append([]) }
        crews[Int(job.number) - 1].set(id, isIn: true)
    }
}

/// The sessions that have one job, ascending.
struct Crew: RandomAccessCollection {
    fileprivate let records: [SessionRecord]
    fileprivate let places: [Int]

    var startIndex: Int { 0 }
    var endIndex: Int { places.count }
    subscript(rank: Int) -> SessionRecord { _read { yield records[places[rank]] } }

    /// The place in it of a session; nil = it is not of the crew.
    func place(of id: SessionID) -> Int? { indices.first { self[$0].id == id } }
}

extension Array where Element: Comparable {
    /// The place of the first element that is not below `element`; the array ascends.
    func partition(before element: Element) -> Int {
        indices.partitionPoint { self[$0] < element }
    }

    /// Puts an element into an array that ascends, once, or takes it out.
    mutating func set(_ element: Element, isIn: Bool) {
        let place = partition(before: element)
        let isThere = place < count && self[place] == element
        if isIn, !isThere { insert(element, at: place) }
        if !isIn, isThere { remove(at: place) }
    }
}
