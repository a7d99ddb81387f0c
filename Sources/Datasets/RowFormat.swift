/// How a row of a dataset is written; the raw values are the job file's words for `type`.
package enum RowFormat: String, Sendable, CaseIterable {
    /// `{"messages": [{"role", "content", …}], "tools"?}`.
    case messages
    /// `{"conversations": [{"from", "value"}], "system"?, "tools"?}`.
    case sharegpt
    /// `{"instruction", "input"?, "output", "system"?, "history"?}`.
    case alpaca
    /// `{"prompt", "completion"}`, strings or message lists.
    case completion
    /// `{"text"}`.
    case text
    /// `{"input_ids", "labels"?}`.
    case tokens
}
