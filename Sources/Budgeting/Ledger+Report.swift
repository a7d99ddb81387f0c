package import Terms

extension Ledger {
    /// What `drover budget show` prints: amounts under the job file's names, in core-hours, seconds, tokens, steps, kWh
    /// and units of the currency.
    ///
    /// `limits` − `spent` − `reserved` is what is left; `lost` and `overhead` are parts of `spent`.
    package func toJSON(chainOK: Bool) -> JSONValue {
        var limits = JSONObject()
        for unit in BudgetUnit.allCases { limits[unit.key] = budget[unit].map { Self.number($0, unit) } }
        var members: [(key: String, value: JSONValue)] = [
            ("limits", .object(limits)), ("spent", Self.object(spent)), ("reserved", Self.object(reserved)),
            ("lost", Self.object(balance(.lost))), ("overhead", Self.object(balance(.overhead))),
            ("postings", .int(postingsCount)), ("chain_ok", .bool(chainOK)),
        ]
        if let currency = budget.currency { members.append(("currency", .string(currency))) }
        return .object(JSONObject(members))
    }

    private static func object(_ costs: Costs) -> JSONValue {
        .object(JSONObject(BudgetUnit.allCases.map { ($0.key, number(costs[$0], $0)) }))
    }

    private static func number(_ amount: Int64, _ unit: BudgetUnit) -> JSONValue {
        unit.isExact ? .int(Int(amount)) : .double(Quantity.displayed(amount, of: unit))
    }
}
