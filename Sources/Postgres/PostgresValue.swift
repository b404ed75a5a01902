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

    /// Creates the value from the bytes of that text; by default through a `String`.
    init?(postgresBytes: Span<UInt8>)
}

/// A value that goes both ways.
package typealias PostgresValue = PostgresEncodable & PostgresDecodable

extension PostgresDecodable {
    package init?(postgresBytes: Span<UInt8>) {
        self.init(postgresText: String(postgresUTF8: postgresBytes))
    }
}

extension String {
    /// Creates the text of bytes that the server sent, which are UTF-8.
    fileprivate init(postgresUTF8 bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}

extension String: PostgresValue {
    package var postgresText: String { self }

    package init?(postgresText: String) { self = postgresText }

    package init?(postgresBytes: Span<UInt8>) { self.init(postgresUTF8: postgresBytes) }
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

    package init?(postgresBytes bytes: Span<UInt8>) {
        let isNegative = !bytes.isEmpty && bytes[0] == UInt8(ascii: "-")
        let digits = isNegative ? 1 : 0
        guard bytes.count > digits else { return nil }
        var value: Self = 0
        for index in digits..<bytes.count {
            guard let digit = Self(exactly: bytes[index] &- UInt8(ascii: "0")), digit < 10 else {
                return nil
            }
            let (shifted, isTooLong) = value.multipliedReportingOverflow(by: 10)
            // Negative numbers are made from below, so that the lowest fits.
            let (next, isTooFar) =
                isNegative
                ? shifted.subtractingReportingOverflow(digit)
                : shifted.addingReportingOverflow(digit)
            guard !isTooLong, !isTooFar else { return nil }
            value = next
        }
        self = value
    }
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
    package var postgresText: String {
        let bytes = uuid
        return withUnsafeBytes(of: bytes) { bytes in
            String(unsafeUninitializedCapacity: 36) { text in
                var end = 0
                for (index, byte) in bytes.enumerated() {
                    if [4, 6, 8, 10].contains(index) {
                        text[end] = UInt8(ascii: "-")
                        end += 1
                    }
                    text[end] = hexDigit(byte >> 4)
                    text[end + 1] = hexDigit(byte & 15)
                    end += 2
                }
                return end
            }
        }
    }

    package init?(postgresText: String) { self.init(uuidString: postgresText) }

    package init?(postgresBytes text: Span<UInt8>) {
        guard text.count == 36 else { return nil }
        var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let isWhole = withUnsafeMutableBytes(of: &uuid) { bytes in
            var place = 0
            for index in bytes.indices {
                if place == 8 || place == 13 || place == 18 || place == 23 {
                    guard text[place] == UInt8(ascii: "-") else { return false }
                    place += 1
                }
                guard let high = hexValue(text[place]), let low = hexValue(text[place + 1]) else {
                    return false
                }
                bytes[index] = high << 4 | low
                place += 2
            }
            return true
        }
        guard isWhole else { return nil }
        self.init(uuid: uuid)
    }
}

private func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

private func hexValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package var postgresText: String { rawValue.postgresText }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package init?(postgresText: String) {
        guard let value = RawValue(postgresText: postgresText) else { return nil }
        self.init(rawValue: value)
    }

    package init?(postgresBytes: Span<UInt8>) {
        guard let value = RawValue(postgresBytes: postgresBytes) else { return nil }
        self.init(rawValue: value)
    }
}
