import Foundation
import Templates

extension CalendarDate {
    /// Date and time of day now, in this machine's time zone, as `strftime_now` of a chat template shows it.
    static var now: CalendarDate {
        let parts = Calendar(identifier: .gregorian).dateComponents(in: .current, from: Date())
        return CalendarDate(
            year: parts.year ?? 1970, month: parts.month ?? 1, day: parts.day ?? 1, hour: parts.hour ?? 0,
            minute: parts.minute ?? 0, second: parts.second ?? 0)
    }
}
