import Templates
import Terms
import Tokenization

/// Makes the samples of batches of rows, with memory of its own; for one thread at a time.
///
/// Rows of the usual shapes are read in place and written by a plan (`ChatPlan`); all others, and all that have faults,
/// by `RowParser` and `SampleMaker`, which say what a row means. Both ways give the same sample.
final class RowWorker {
    let format: RowFormat
    let columns: ColumnMap
    let maker: SampleMaker
    var tape = JSONTape()
    var plans = ChatPlans()
    /// The conversation that is read now: its shape, its texts that are not empty, and its turns with their numbers.
    var shape: [UInt8] = []
    var texts: [UnsafeBufferPointer<UInt8>] = []
    /// A piece of text that is put together of several.
    var piece: [UInt8] = []
    /// Where the ids so far end, and whether they are trained.
    var runs: [(end: Int, isTrained: Bool)] = []
    private let isUsual: Bool

    init(format: RowFormat, columns: ColumnMap, maker: SampleMaker) {
        (self.format, self.columns, self.maker) = (format, columns, maker)
        isUsual = columns == .usual
    }

    /// Makes samples of the batch's source.
    func fill(_ batch: SampleBatch) {
        batch.rows.removeAll(keepingCapacity: true)
        batch.payload.truncate(to: 0)
        batch.source.bytes.withUnsafeBufferPointer { bytes in
            for raw in batch.source.rows {
                var row = SampleBatch.Row(line: raw.line, start: batch.payload.count)
                if !makeInPlace(raw, bytes, batch.payload, &row) { makeByValue(raw, bytes, batch.payload, &row) }
                batch.rows.append(row)
            }
        }
    }

    private func makeInPlace(
        _ raw: RowChunk.Row, _ bytes: UnsafeBufferPointer<UInt8>, _ payload: TokenBuffer, _ row: inout SampleBatch.Row
    ) -> Bool {
        guard isUsual, case .json(let range) = raw.content, !range.isEmpty,
            tape.read(UnsafeBufferPointer(rebasing: bytes[range])), tape.nodes[0].kind == .object
        else { return false }
        runs.removeAll(keepingCapacity: true)
        let isMade =
            switch format {
            case .text: makeText(payload)
            case .completion: makeCompletion(payload)
            case .tokens: makeTokens(payload)
            case .messages, .sharegpt, .alpaca: makeChat(payload, start: row.start)
            }
        guard isMade, finish(payload, &row) else {
            payload.truncate(to: row.start)
            return false
        }
        return true
    }

    private func makeByValue(
        _ raw: RowChunk.Row, _ bytes: UnsafeBufferPointer<UInt8>, _ payload: TokenBuffer, _ row: inout SampleBatch.Row
    ) {
        do throws(RowProblem) {
            let example = try RowParser.parse(try raw.value(in: bytes), as: format, columns: columns)
            let sample = try maker.sample(of: example)
            payload.append(sample.ids)
            payload.append(sample.labels)
            (row.count, row.trainedTokens) = (sample.count, sample.trainedTokens)
        } catch {
            row.problem = error
        }
    }

    /// Checks the ids and writes the labels behind them; false when something is wrong with them.
    private func finish(_ payload: TokenBuffer, _ row: inout SampleBatch.Row) -> Bool {
        if format == .tokens { return finishTokens(payload, &row) }
        let end = payload.count
        row.count = end - row.start
        guard row.count > 0, areInVocabulary(payload.ids[row.start..<end]) else { return false }
        payload.reserve(row.count)
        var at = row.start
        for run in runs where run.end > at {
            if run.isTrained {
                payload.append(own: at..<run.end)
                row.trainedTokens += run.end - at
            } else {
                payload.append(repeating: Sample.ignored, count: run.end - at)
            }
            at = run.end
        }
        // Nothing predicts the first token.
        if payload.ids[end] != Sample.ignored { row.trainedTokens -= 1 }
        return true
    }

    private func finishTokens(_ payload: TokenBuffer, _ row: inout SampleBatch.Row) -> Bool {
        row.count = (payload.count - row.start) / 2
        let labels = payload.ids[row.start + row.count..<payload.count]
        guard row.count > 0, areInVocabulary(payload.ids[row.start..<row.start + row.count]) else { return false }
        for label in labels where label != Sample.ignored {
            guard UInt(truncatingIfNeeded: label) < UInt(maker.vocabularyCount) else { return false }
        }
        row.trainedTokens = labels.dropFirst().reduce(0) { $0 + ($1 == Sample.ignored ? 0 : 1) }
        return true
    }

    private func areInVocabulary(_ ids: Slice<UnsafeBufferPointer<Int32>>) -> Bool {
        // A negative id is a huge unsigned one.
        var highest: UInt32 = 0
        for id in UnsafeBufferPointer(rebasing: ids) { highest = max(highest, UInt32(bitPattern: id)) }
        return highest <= UInt32(Int32.max) && Int(highest) < maker.vocabularyCount
    }

    // MARK: Formats without turns

    /// The text of a member; nil when it is absent or no text.
    func text(_ key: StaticString) -> UnsafeBufferPointer<UInt8>? {
        guard let node = tape.member(key, of: 0), tape.nodes[node].kind == .string else { return nil }
        return tape.nodes[node].bytes
    }

    private func endRun(_ payload: TokenBuffer, isTrained: Bool) { runs.append((payload.count, isTrained)) }

    private func appendEndOfText(_ payload: TokenBuffer, start: Int) {
        guard let end = maker.encoder.endOfText, payload.count == start || payload.last != end else { return }
        payload.append(end)
        endRun(payload, isTrained: true)
    }

    private func makeText(_ payload: TokenBuffer) -> Bool {
        guard let text = text("text") else { return false }
        let start = payload.count
        maker.encoder.append(document: text, to: payload)
        endRun(payload, isTrained: true)
        appendEndOfText(payload, start: start)
        return true
    }

    private func makeCompletion(_ payload: TokenBuffer) -> Bool {
        guard let prompt = text("prompt"), let completion = text("completion"), !completion.isEmpty else {
            return false
        }
        let start = payload.count
        maker.encoder.append(document: prompt, to: payload)
        endRun(payload, isTrained: maker.trainsEverything)
        maker.encoder.append(piece: completion, after: payload.count == start ? .start : .text, to: payload)
        endRun(payload, isTrained: true)
        appendEndOfText(payload, start: start)
        return true
    }

    /// The ids, then the labels.
    private func makeTokens(_ payload: TokenBuffer) -> Bool {
        guard let ids = tape.member("input_ids", of: 0) else { return false }
        let start = payload.count
        guard appendIntegers(ids, payload, from: 0), payload.count > start else { return false }
        let count = payload.count - start
        guard let labels = tape.member("labels", of: 0), tape.nodes[labels].kind != .null else {
            payload.append(own: start..<payload.count)
            return true
        }
        return appendIntegers(labels, payload, from: Sample.ignored) && payload.count - start == 2 * count
    }

    /// Appends a list of integers that are not negative, or just `lowest`.
    private func appendIntegers(_ list: Int, _ payload: TokenBuffer, from lowest: Int32) -> Bool {
        guard tape.nodes[list].kind == .array else { return false }
        payload.reserve(tape.nodes[list].next - list)
        for node in list + 1..<tape.nodes[list].next {
            guard let value = tape.nodes[node].integer, value >= 0 || value == lowest else { return false }
            payload.append(value)
        }
        return true
    }

    // MARK: Turns

    private func makeChat(_ payload: TokenBuffer, start: Int) -> Bool {
        shape.removeAll(keepingCapacity: true)
        texts.removeAll(keepingCapacity: true)
        guard readChat(), let plan = plans.plan(shape, maker, { Shape.conversation(shape) }),
            texts.reduce(0, { $0 + $1.count }) <= OpenTexts.bytesLimit,
            plan.kind == .any || texts.allSatisfy(PlainText.isPlain)
        else { return false }
        for step in plan.steps { run(step, payload, start: start) }
        if plan.endsOpen { appendEndOfText(payload, start: start) }
        return true
    }

    private func run(_ step: ChatPlan.Step, _ payload: TokenBuffer, start: Int) {
        switch step {
        case .control(let id, let isTrained):
            payload.append(id)
            endRun(payload, isTrained: isTrained)
        case .text(let parts, let isBehindControl, let isTrained):
            var place = PiecePlace.control
            if !isBehindControl {
                place = payload.count == start ? .start : maker.scanner.isControl(payload.last) ? .control : .text
            }
            if parts.count == 1, case .open(let number) = parts[0] {
                maker.encoder.append(piece: texts[number], after: place, to: payload)
            } else {
                piece.removeAll(keepingCapacity: true)
                for part in parts {
                    switch part {
                    case .literal(let bytes): piece += bytes
                    case .open(let number): piece.append(contentsOf: texts[number])
                    }
                }
                piece.withUnsafeBufferPointer { maker.encoder.append(piece: $0, after: place, to: payload) }
            }
            endRun(payload, isTrained: isTrained)
        }
    }
}

extension RowChunk.Row {
    /// The row as a JSON value.
    func value(in bytes: UnsafeBufferPointer<UInt8>) throws(RowProblem) -> JSONValue {
        switch content {
        case .value(let value): return value
        case .broken(let reason): throw RowProblem(reason)
        case .json(let range):
            return try RawRow.parse(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[range]))
        }
    }
}
