package import Terms

/// Which objects nobody needs: mark what manifests name, sweep the rest that is old enough.
package struct PrunePlan: Sendable, Equatable {
    /// An object as it lies in the store.
    package struct StoredObject: Sendable, Equatable {
        package var digest: Digest
        package var bytes: Int
        /// Time since it was written, seconds; negative when clocks disagree.
        package var ageSeconds: Int
        package init(digest: Digest, bytes: Int, ageSeconds: Int) {
            self.digest = digest
            self.bytes = bytes
            self.ageSeconds = ageSeconds
        }
    }

    /// Objects to delete, ascending by digest.
    package let sweep: [StoredObject]
    /// Objects that a published or preparing manifest names.
    package let referenced: Int
    /// Objects that nobody names but that are younger than the grace period.
    package let young: Int

    /// Bytes that sweeping sets free.
    package var sweptBytes: Int { sweep.reduce(0) { $0 + $1.bytes } }

    /// A plan over all objects of a store.
    ///
    /// - `manifests`: every manifest that stays, of every run, published or preparing.
    /// - `preparing`: objects of saves that have no manifest yet.
    /// - `graceSeconds`: an unreferenced object younger than this stays, its save may still be going on.
    package init(objects: [StoredObject], manifests: [Manifest], preparing: Set<Digest> = [], graceSeconds: Int) {
        var marked = preparing
        for manifest in manifests {
            for tensor in manifest.tensors {
                for chunk in tensor.chunks { marked.insert(chunk.digest) }
            }
        }
        var sweep: [StoredObject] = []
        var (referenced, young) = (0, 0)
        for object in objects {
            if marked.contains(object.digest) {
                referenced += 1
            } else if object.ageSeconds < graceSeconds {
                young += 1
            } else {
                sweep.append(object)
            }
        }
        self.sweep = sweep.sorted { $0.digest < $1.digest }
        self.referenced = referenced
        self.young = young
    }
}
