package import FoundationEssentials

/// `timestamptz`, as the session's `TimeZone` UTC and `DateStyle` ISO write it.
extension Date: PostgresValue {
    package var postgresText: String {
        let microseconds = Int64((timeIntervalSince1970 * 1_000_000).rounded())
        let (day, inDay) = microseconds.flooredDivision(by: 86_400_000_000)
        let (year, month, dayOfMonth) = civilDate(daysSinceEpoch: day)
        let (second, fraction) = inDay.quotientAndRemainder(dividingBy: 1_000_000)
        var text = ""
        text.append(year, padded: 4)
        text.append("-")
        text.append(month, padded: 2)
        text.append("-")
        text.append(dayOfMonth, padded: 2)
        text.append(" ")
        text.append(second / 3600, padded: 2)
        text.append(":")
        text.append(second / 60 % 60, padded: 2)
        text.append(":")
        text.append(second % 60, padded: 2)
        text.append(".")
        text.append(fraction, padded: 6)
        text.append("+00")
        return text
    }

    package init?(postgresText: String) {
        self.init(postgresBytes: Array(postgresText.utf8).span)
    }

    package init?(postgresBytes bytes: Span<UInt8>) {
        // "2026-11-23 16:34:29[.123456]+00"; a year after 9999 has more digits.
        var reader = DigitReader(position: 0)
        guard let year = reader.number(in: bytes, until: "-"),
            let month = reader.number(in: bytes, until: "-"),
            let day = reader.number(in: bytes, until: " "),
            let hour = reader.number(in: bytes, until: ":"),
            let minute = reader.number(in: bytes, until: ":"),
            let second = reader.number(in: bytes, until: nil)
        else { return nil }
        guard let fraction = reader.fraction(in: bytes), reader.position == bytes.count - 3,
            bytes[bytes.count - 3] == UInt8(ascii: "+"),
            bytes[bytes.count - 2] == UInt8(ascii: "0"),
            bytes[bytes.count - 1] == UInt8(ascii: "0")
        else { return nil }
        let days = daysSinceEpoch(year: year, month: month, day: day)
        let whole = days * 86_400 + hour * 3600 + minute * 60 + second
        self.init(timeIntervalSince1970: Double(whole) + fraction)
    }
}

/// Reads the numbers of a date.
private struct DigitReader {
    var position: Int

    /// Returns the number up to the end mark, which is passed over; without one, up to its last
    /// digit.
    mutating func number(in bytes: borrowing Span<UInt8>, until end: Unicode.Scalar?) -> Int64? {
        var value: Int64 = 0
        let start = position
        while position < bytes.count, position - start < 9 {
            let digit = bytes[position] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            value = value * 10 + Int64(digit)
            position += 1
        }
        guard position > start else { return nil }
        guard let end else { return value }
        guard position < bytes.count, bytes[position] == UInt8(ascii: end) else { return nil }
        position += 1
        return value
    }

    /// Returns what stands behind a point, as a part of one; 0 without a point.
    mutating func fraction(in bytes: borrowing Span<UInt8>) -> Double? {
        guard position < bytes.count, bytes[position] == UInt8(ascii: ".") else { return 0 }
        position += 1
        let start = position
        guard let value = number(in: bytes, until: nil) else { return nil }
        var scale = 1.0
        for _ in start..<position { scale *= 10 }
        return Double(value) / scale
    }
}

extension String {
    fileprivate mutating func append(_ value: Int64, padded width: Int) {
        let digits = String(value)
        for _ in digits.utf8.count..<max(width, digits.utf8.count) { append("0") }
        append(digits)
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
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
