package import Terms

/// Where each thing stands below a checkpoint root; every path is relative to it and made of our own words only.
///
/// ```
/// FORMAT                              read first; another major version is refused
/// objects/<aa>/<sha256>               immutable chunks, at most 4 MiB, mode 0444
/// runs/<run>/manifests/<name>.json    immutable; its presence makes a checkpoint exist
/// runs/<run>/HEAD  PINS  events.log   hints and history, rebuilt from the manifests when lost
/// runs/<run>/events.log.damaged       a history that can't be read to its end, kept when another one was begun
/// tmp/<attempt>/                      staging
/// quarantine/<when>/                  damaged manifests that were set aside, never deleted
/// ```
package enum RepositoryLayout {
    /// The whole content of `FORMAT`.
    package static let formatText = "drover-ckpt 1\n"
    package static let format = "FORMAT"
    package static let objects = "objects"
    package static let runs = "runs"
    package static let staging = "tmp"
    package static let quarantine = "quarantine"

    /// Bytes of the largest object, 4 MiB.
    package static let chunkLimit = 4 << 20

    /// `objects/<aa>`, the folder of a chunk.
    package static func objectFolder(_ digest: Digest) -> String { objects + "/" + digest.hex.prefix(2) }
    /// `objects/<aa>/<sha256>`.
    package static func object(_ digest: Digest) -> String { objectFolder(digest) + "/" + digest.hex }

    package static func run(_ run: String) -> String { runs + "/" + run }
    package static func manifests(_ run: String) -> String { self.run(run) + "/manifests" }
    package static func manifest(_ run: String, _ name: ManifestName) -> String { manifests(run) + "/" + name.text }
    package static func head(_ run: String) -> String { self.run(run) + "/HEAD" }
    package static func pins(_ run: String) -> String { self.run(run) + "/PINS" }
    package static func events(_ run: String) -> String { self.run(run) + "/events.log" }
    /// Where a history that is damaged is kept, the `number`-th one from 1.
    package static func damagedEvents(_ run: String, _ number: Int = 1) -> String {
        events(run) + ".damaged" + (number > 1 ? "-\(number)" : "")
    }
    package static func staging(_ attempt: String) -> String { staging + "/" + attempt }
    package static func quarantine(_ when: String) -> String { quarantine + "/" + when }

    /// True when `run` may name a run's folder: 1…64 letters, digits, `_` and `-`.
    package static func isRunName(_ run: String) -> Bool { TextRules.isWord(run) }

    /// Whether `name` in folder `folder` of `objects` is an object's name, and which.
    package static func digest(folder: String, name: String) -> Digest? {
        guard let digest = Digest(hex: name), digest.hex.hasPrefix(folder), folder.utf8.count == 2 else { return nil }
        return digest
    }
}
