/// Which documents make up each training sequence.
package struct SequenceTable: Sendable, Equatable {
    /// S+1 positions in `documents`, ascending from 0: sequence i holds `documents[starts[i]..<starts[i+1]]`.
    package var starts: [UInt32]
    /// Document numbers, sequence by sequence.
    package var documents: [UInt32]

    /// A table of the given parts; without any, no sequences.
    package init(starts: [UInt32] = [0], documents: [UInt32] = []) {
        self.starts = starts
        self.documents = documents
    }

    /// One sequence for each document, in order.
    package init(oneEach documents: [UInt32]) {
        starts = (0...UInt32(documents.count)).map { $0 }
        self.documents = documents
    }

    /// Rows in the order of their first document, documents in ascending order inside each.
    ///
    /// - Parameter rowOfDocument: a row number for each document; rows are numbered densely from 0.
    package init(rowOfDocument: [UInt32]) {
        let rows = Int(rowOfDocument.max().map { $0 + 1 } ?? 0)
        var rank = [UInt32](repeating: .max, count: rows)
        var sizes: [UInt32] = []
        for row in rowOfDocument {
            if rank[Int(row)] == .max {
                rank[Int(row)] = UInt32(sizes.count)
                sizes.append(0)
            }
            sizes[Int(rank[Int(row)])] += 1
        }
        starts = [0]
        starts.reserveCapacity(sizes.count + 1)
        for size in sizes { starts.append(starts[starts.count - 1] + size) }
        var next = starts
        documents = [UInt32](repeating: 0, count: rowOfDocument.count)
        for (document, row) in rowOfDocument.enumerated() {
            let place = Int(rank[Int(row)])
            documents[Int(next[place])] = UInt32(document)
            next[place] += 1
        }
    }

    /// S, how many sequences there are.
    package var count: Int { starts.count - 1 }

    /// The documents of sequence `index`.
    package func documents(of index: Int) -> ArraySlice<UInt32> {
        documents[Int(starts[index])..<Int(starts[index + 1])]
    }

    /// The same sequences with document d renamed to `names[d]`.
    package func renamed(_ names: [UInt32]) -> SequenceTable {
        SequenceTable(starts: starts, documents: documents.map { names[Int($0)] })
    }
}
