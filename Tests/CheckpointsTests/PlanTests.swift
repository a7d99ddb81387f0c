import Checkpoints
import Terms
import Testing

@Suite struct SavePlanTests {
    private func plan(_ sizes: [Int], roles: [TensorRole] = TensorRole.allCases) throws -> SavePlan {
        SavePlan(
            layout: try TensorLayout(sizes.enumerated().map { (name: "t\($0.offset)", shape: [$0.element]) }),
            roles: roles)
    }

    @Test func `pieces tile every role and cross no tensor`() throws {
        for sizes in [[], [0], [1], [1 << 20], [(1 << 20) + 1, 0, 3], [3 << 20, 5]] {
            let plan = try plan(sizes)
            for role in TensorRole.allCases {
                let pieces = plan.pieces.filter { $0.role == role }
                var next = 0
                for piece in pieces {
                    let tensor = plan.layout.tensors[piece.tensor]
                    #expect(piece.offset == next && (1...(1 << 20)).contains(piece.elements))
                    #expect(piece.offset >= tensor.offset)
                    #expect(piece.offset + piece.elements <= tensor.offset + tensor.elements)
                    next += piece.elements
                }
                #expect(next == plan.layout.elements)
            }
            #expect(plan.totalBytes == plan.pieces.reduce(0) { $0 + $1.bytes })
        }
    }

    @Test func `shares tile the pieces and are about equal`() throws {
        let plan = try plan([5 << 20, 7, 1 << 19, 0, 3 << 20, 1])
        for workers in 1...40 {
            let shares = (0..<workers).map { plan.share(worker: $0, of: workers) }
            var next = 0
            for share in shares {
                #expect(share.lowerBound == next)
                next = share.upperBound
                let bytes = share.reduce(0) { $0 + plan.pieces[$1].bytes }
                #expect(bytes <= plan.totalBytes / workers + 2 * RepositoryLayout.chunkLimit)
            }
            #expect(next == plan.pieces.count)
        }
        #expect(try self.plan([]).share(worker: 1, of: 2).isEmpty)
    }

    @Test func `a saved plan restores to the same places`() throws {
        let plan = try plan([(1 << 20) + 9, 0, 4])
        let digests = plan.pieces.indices.map { digest(UInt8($0)) }
        var manifest = try sampleManifest()
        manifest.tensors = plan.tensors(digests: digests)
        try manifest.validate()

        let restore = try RestorePlan(manifest: manifest, layout: plan.layout)

        #expect(restore.pieces.map(\.offset) == plan.pieces.map(\.offset))
        #expect(restore.pieces.map(\.role) == plan.pieces.map(\.role))
        #expect(restore.pieces.map(\.digest) == digests)
        #expect(restore.totalBytes == plan.totalBytes)
        #expect(try RestorePlan.layout(of: manifest) == plan.layout)
        let parameters = try RestorePlan(manifest: manifest, layout: plan.layout, roles: [.parameter])
        #expect(parameters.pieces == restore.pieces.filter { $0.role == .parameter })
    }

    @Test func `a checkpoint of another model is refused and the tensor named`() throws {
        let manifest = try sampleManifest()
        func tensor(_ list: [(name: String, shape: [Int])]) throws -> String? {
            do {
                _ = try RestorePlan(manifest: manifest, layout: try TensorLayout(list))
            } catch CheckpointError.mismatch(let name, _) {
                return name
            }
            return nil
        }
        #expect(try tensor([("a.weight", [2, 3]), ("b", [])]) == nil)
        #expect(try tensor([("a.weight", [3, 2]), ("b", [])]) == "a.weight")
        #expect(try tensor([("a.weight", [2, 3])]) == "b")
        #expect(try tensor([("a.weight", [2, 3]), ("b", []), ("c", [1])]) == "c")
        #expect(try tensor([("a.weight", [2, 3]), ("c", [])]) == "c")
        var bare = manifest
        bare.tensors.removeAll { $0.role != .parameter }
        #expect(throws: CheckpointError.self) {
            try RestorePlan(manifest: bare, layout: try RestorePlan.layout(of: manifest))
        }
    }

    @Test func `a layout refuses repeated, unordered and unusable tensors`() throws {
        for list in [
            [("b", [1]), ("a", [1])], [("a", [1]), ("a", [1])], [("", [1])], [("a", [-1])],
            [("a", [1 << 40, 1 << 40])],
            [("a", [1 << 42]), ("b", [1])], [("a b", [1])], [("a..b", [1])],
            [(String(repeating: "a", count: 257), [1])],
        ] as [[(name: String, shape: [Int])]] {
            #expect(throws: CheckpointError.self, "\(list)") { try TensorLayout(list) }
        }
        let layout = try TensorLayout([("B", []), ("a", [0, 1 << 60]), ("b", [2, 2])])
        #expect(layout.tensors.map(\.offset) == [0, 1, 1])
        #expect(layout.elements == 5)
    }
}

@Suite struct PrunePlanTests {
    @Test func `what a manifest or a save names stays, what is young stays, the rest goes`() throws {
        let manifest = try sampleManifest()
        let objects = (0..<10).map { index in
            PrunePlan.StoredObject(digest: digest(UInt8(9 - index)), bytes: 10, ageSeconds: index == 0 ? 59 : 60)
        }

        let plan = PrunePlan(objects: objects, manifests: [manifest], preparing: [digest(7)], graceSeconds: 60)

        #expect(plan.sweep.map(\.digest) == [digest(6), digest(8)])
        #expect(plan.referenced == 7 && plan.young == 1 && plan.sweptBytes == 20)
    }
}
