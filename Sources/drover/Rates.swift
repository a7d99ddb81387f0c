import Budgeting
import Foundation
import ModelFiles
import Terms

/// The rate card: what a core draws, and what cores and energy cost here.
///
/// `{"watts_per_core": 6.5, "core_hour": 0.02, "kwh": 0.30, "currency": "EUR"}`
enum Rates {
    /// Read when nobody names another file; need not exist.
    static var standardPath: String {
        let environment = ProcessInfo.processInfo.environment
        return joinPath(environment["XDG_CONFIG_HOME"] ?? "\(NSHomeDirectory())/.config", "drover/rates.json")
    }

    /// Where a run keeps the card that it was started with, when one was named.
    static func path(in run: String) -> String { joinPath(run, "rates.json") }

    /// Refuses a card in another currency than that in which a run has spent money, limited or not: the amounts have no
    /// sum.
    ///
    /// - Parameter ledger: the run's account; one that names no currency is in that of the card that was kept with it.
    static func refuse(_ card: RateCard, after ledger: Ledger?, in run: String) throws {
        guard let ledger, ledger.spent.money > 0, let new = card.currency,
            let known = ledger.budget.currency ?? currency(ofRun: run), known != new
        else { return }
        throw Failure.input(
            "the run has spent money in \(known), and the rate card's prices are in \(new): go on with a card in \(known), "
                + "and give a limit in \(known)")
    }

    /// Bytes of a card, at most.
    static let limit = 1 << 16

    /// The card in `path`, or in the user's standard place.
    static func read(_ path: String?) throws -> RateCard {
        guard let data = FileManager.default.contents(atPath: path ?? standardPath) else {
            guard let path else { return RateCard() }
            throw Failure.input("--rates \(path): can't be read")
        }
        let name = path ?? standardPath
        guard let json = try? JSONValue.parse(Array(data)), let object = json.object else {
            throw Failure.input("\(name) is no JSON object of watts_per_core, core_hour, kwh and currency")
        }
        let known = ["watts_per_core", "core_hour", "kwh", "currency"]
        if let unknown = object.keys.first(where: { !known.contains($0) }) {
            throw Failure.input("\(name): unknown key `\(unknown)`; it takes \(known.joined(separator: ", "))")
        }
        func amount(_ key: String, _ scale: Double) throws -> Int64 {
            guard let value = json[key] else { return 0 }
            guard let number = value.double ?? value.int.map(Double.init), number >= 0, number * scale < 1e12 else {
                throw Failure.input("\(name): `\(key)` is no number from 0")
            }
            return Int64((number * scale).rounded())
        }
        let currency = json["currency"]?.string
        if let currency, currency.utf8.count != 3 || !currency.utf8.allSatisfy({ (0x41...0x5A).contains($0) }) {
            throw Failure.input("\(name): `currency` takes three capital letters, for instance EUR")
        }
        return RateCard(
            milliwattsPerCore: try amount("watts_per_core", 1e3), moneyPerCoreHour: try amount("core_hour", 1e6),
            moneyPerKilowattHour: try amount("kwh", 1e6), currency: currency)
    }
}
