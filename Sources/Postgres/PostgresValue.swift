package import FoundationEssentials

/// A value that can be a parameter of a statement.
package protocol PostgresEncodable {
    /// The value in the server's text form.
    var postgresText: String { get }
}

/// A value that can be read from a column.
package protocol PostgresDecodable {
    /// Creates the value from the server's text form; nil when the text is not such a value.
    init?(postgresText: String)
}

/// A value that goes both ways.
package typealias PostgresValue = PostgresEncodable & PostgresDecodable

extension String: PostgresValue {
    package var postgresText: String { self }

    package init?(postgresText: String) { self = postgresText }
}

extension Bool: PostgresValue {
    package var postgresText: String { self ? "t" : "f" }

    package init?(postgresText: String) {
        switch postgresText {
        case "t": self = true
        case "f": self = false
        default: return nil
        }
    }
}

extension PostgresEncodable where Self: FixedWidthInteger {
    package var postgresText: String { String(self) }
}

extension PostgresDecodable where Self: FixedWidthInteger {
    package init?(postgresText: String) { self.init(postgresText, radix: 10) }
}

extension Int: PostgresValue {}
extension Int64: PostgresValue {}
extension Int32: PostgresValue {}

extension Double: PostgresValue {
    package var postgresText: String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        return description
    }

    package init?(postgresText: String) { self.init(postgresText) }
}

extension UUID: PostgresValue {
    package var postgresText: String { uuidString.lowercased() }

    package init?(postgresText: String) { self.init(uuidString: postgresText) }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package var postgresText: String { rawValue.postgresText }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package init?(postgresText: String) {
        guard let value = RawValue(postgresText: postgresText) else { return nil }
        self.init(rawValue: value)
    }
}

/// An array is one parameter of an array type (`= ANY(\(ids))`, `unnest(\(names))`), never a list of
/// parameters: `IN (\(ids))` is an error of the server.
extension Array: PostgresEncodable where Element: PostgresEncodable {
    package var postgresText: String {
        let elements = map { element in
            let escaped = element.postgresText.reduce(into: "") { text, character in
                if character == "\"" || character == "\\" { text.append("\\") }
                text.append(character)
            }
            return "\"\(escaped)\""
        }
        return "{\(elements.joined(separator: ","))}"
    }
}

/// One-dimensional arrays without NULL elements, the only ones that the farm keeps.
extension Array: PostgresDecodable where Element: PostgresDecodable {
    package init?(postgresText: String) {
        guard postgresText.hasPrefix("{"), postgresText.hasSuffix("}") else { return nil }
        var elements: [Element] = []
        var text = ""
        var isQuoted = false
        var isEscaped = false
        let body = postgresText.dropFirst().dropLast()
        func finish() -> Bool {
            guard let element = Element(postgresText: text) else { return false }
            elements.append(element)
            text = ""
            return true
        }
        for character in body {
            switch character {
            case _ where isEscaped:
                text.append(character)
                isEscaped = false
            case "\\": isEscaped = true
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                guard finish() else { return nil }
            default: text.append(character)
            }
        }
        guard body.isEmpty || finish() else { return nil }
        self = elements
    }
}

/// `timestamptz`, as the session's `TimeZone` UTC and `DateStyle` ISO write it.
extension Date: PostgresValue {
    package var postgresText: String {
        let microseconds = Int64((timeIntervalSince1970 * 1_000_000).rounded())
        let (day, inDay) = microseconds.flooredDivision(by: 86_400_000_000)
        let (year, month, dayOfMonth) = civilDate(daysSinceEpoch: day)
        let (second, fraction) = inDay.quotientAndRemainder(dividingBy: 1_000_000)
        return [
            "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))",
            " \(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))",
            ".\(padded(fraction, 6))+00",
        ].joined()
    }

    package init?(postgresText: String) {
        // "2026-11-23 16:34:29[.123456]+00"
        guard postgresText.hasSuffix("+00") else { return nil }
        let parts = postgresText.dropLast(3).split(separator: " ")
        guard parts.count == 2 else { return nil }
        let date = parts[0].split(separator: "-").compactMap { Int64($0) }
        let time = parts[1].split(separator: ":")
        guard date.count == 3, time.count == 3, let hour = Int64(time[0]),
            let minute = Int64(time[1]), let second = Double(time[2])
        else { return nil }
        let days = daysSinceEpoch(year: date[0], month: date[1], day: date[2])
        let whole = days * 86_400 + hour * 3600 + minute * 60
        self.init(timeIntervalSince1970: Double(whole) + second)
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

private func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Returns the day number of a Gregorian date (Howard Hinnant, `days_from_civil`).
private func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = shifted.flooredDivision(by: 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
}

/// Returns the Gregorian date of a day number (Howard Hinnant, `civil_from_days`).
private func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = (daysSinceEpoch + 719_468).flooredDivision(by: 146_097)
    let yearOfEra =
        (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
}
