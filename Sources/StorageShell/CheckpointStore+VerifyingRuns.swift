import Checkpoints
import Terms

/// Verifying what stands in a run's folder.
extension CheckpointStore {
    func verifyRun(_ run: String, _ good: [Digest: Int], _ report: inout VerifyReport) throws(StorageError) {
        let scan = try scan(run)
        report.runs += 1
        report.manifests += scan.records.count + scan.rejected.count
        for rejected in scan.rejected {
            report.findings.append(
                StoreFinding(
                    path: RepositoryLayout.manifests(run) + "/" + rejected.name, problem: rejected.reason))
            report.unusable.append(run + "/" + rejected.name)
        }
        for record in scan.records { try verifyRecord(record, good, &report) }
        try verifyHints(run, &report)
    }

    private func verifyRecord(
        _ record: CheckpointRecord, _ good: [Digest: Int], _ report: inout VerifyReport
    ) throws(StorageError) {
        let path = RepositoryLayout.manifest(record.manifest.run, record.name)
        let absent = record.manifest.objects.filter { good[$0.digest] != $0.length }
        if absent.isEmpty {
            guard report.hashed == report.objects else { return }
            guard try !hasStatedModel(record.manifest) else { return }
            report.findings.append(
                StoreFinding(
                    path: path, problem: "its parameters do not have the model_sha256 it states"))
        } else {
            // Deleted while we were reading: no loss. Written while we were reading: look again.
            guard try disk(fileSystem.status(self.path(path))) != nil else { return }
            var missing: [Manifest.Chunk] = []
            for chunk in absent where try !objects.has(chunk.digest, length: chunk.length) { missing.append(chunk) }
            if let first = missing.first {
                report.findings.append(
                    StoreFinding(
                        path: path,
                        problem: "names \(missing.count) object(s) that are missing, the first is \(first.digest)"))
            }
        }
        report.unusable.append(record.manifest.run + "/" + record.name.text)
    }

    private func verifyHints(_ run: String, _ report: inout VerifyReport) throws(StorageError) {
        func wrong(_ path: String, _ problem: String) {
            report.findings.append(StoreFinding(path: path, problem: problem))
        }
        let headPath = RepositoryLayout.head(run)
        if try disk(fileSystem.status(path(headPath))) != nil {
            // An older checkpoint's name is no fault: HEAD is written after the commit point.
            let bytes = (try? fileSystem.contents(path(headPath), limit: 256)) ?? []
            if let name = Self.headName(bytes) {
                let target = path(RepositoryLayout.manifest(run, name))
                if try disk(fileSystem.status(target)) == nil {
                    wrong(headPath, "names a checkpoint that is not there")
                }
            } else {
                wrong(headPath, "holds no manifest's name")
            }
        }
        do throws(StorageError) { _ = try pinList(run) } catch { wrong(RepositoryLayout.pins(run), Self.reason(error)) }
        do throws(StorageError) {
            if let problem = try events(run).problem { wrong(RepositoryLayout.events(run), problem) }
        } catch { wrong(RepositoryLayout.events(run), Self.reason(error)) }
    }
}
