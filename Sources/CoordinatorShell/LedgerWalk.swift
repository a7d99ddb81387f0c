import Budgeting
import Hashing
import Terms

/// One job's ledger, computed again from its lines: what they come to, or the first that does not follow from those
/// before it.
///
/// The lines themselves are not kept, so the walk through a long ledger takes no more memory than that through a short
/// one.
struct LedgerWalk {
    private var ledger: Ledger?
    /// What is wrong with the lines so far, a sentence; nil = nothing.
    private(set) var fault: String?

    /// Takes in the next line; none after one that does not follow.
    mutating func take(_ line: BudgetReport.Line) {
        guard fault == nil else { return }
        do throws(LedgerError) { try Ledger.extend(&ledger, by: line.entry) } catch {
            fault = error.description
            return
        }
        let sealed = ledger?.seal { Digest.sha256(of: $0) }
        if sealed?.last?.digest != line.digest {
            fault = "entry \(line.entry.sequence) of the ledger does not fit the chain"
        }
        ledger?.forget()
    }

    /// What is wrong with the lines, or between them and the ledger that a job has; nil = they give it.
    func fault(against own: Ledger?) -> String? {
        if let fault { return fault }
        guard let ledger else { return own == nil ? nil : "the ledger has no lines" }
        if let fault = ledger.conservationFault { return fault }
        guard let own else { return nil }
        let isSame = ledger.head == own.head && ledger.spent == own.spent && ledger.reserved == own.reserved
        return isSame ? nil : "the lines give other balances than the ledger has"
    }
}
