import FoundationEssentials

/// Where spans go, and how many.
package struct TraceSettings: Sendable {
    /// The names of the settings.
    package static let names = ["otlp-endpoint", "otlp-headers", "trace-sample"]

    /// The address that takes spans.
    package let endpoint: String
    /// What is sent with them; a secret.
    package let headers: [(name: String, value: String)]
    /// Which part of the traces that begin here is sampled, 0…1.
    package let share: Double

    /// Reads the settings; nil where they name no collector.
    ///
    /// - Parameter value: Gives the text of a setting by its name, nil where nothing says it.
    /// - Throws: ``TraceSettingsError`` for what is no such setting, and what `value` throws.
    package init?(_ value: (String) throws -> String?) throws {
        let texts = (
            endpoint: try value("otlp-endpoint"), headers: try value("otlp-headers"),
            share: try value("trace-sample")
        )
        // What is wrong is told though nothing is exported.
        headers = try Self.headers(texts.headers ?? "")
        share = try Self.share(texts.share ?? "1")
        guard let text = texts.endpoint, !text.isEmpty else { return nil }
        guard let url = URLComponents(string: text), ["http", "https"].contains(url.scheme),
            let host = url.host, !host.isEmpty, url.query == nil, url.fragment == nil
        else {
            // What stands before an @ may be a secret.
            throw TraceSettingsError(
                name: "otlp-endpoint",
                reason: "must be like http://collector.example:4318"
                    + (text.contains("@") ? "" : ", not '\(text)'")
            )
        }
        let path = "/v1/traces"
        let base = text.hasSuffix("/") ? String(text.dropLast()) : text
        endpoint = base.hasSuffix(path) ? base : base + path
    }

    /// The address without what may be a secret in it.
    package var shownEndpoint: String {
        guard let url = URLComponents(string: endpoint), let scheme = url.scheme,
            let host = url.host
        else { return "the collector" }
        return "\(scheme)://\(host)" + (url.port.map { ":\($0)" } ?? "") + url.path
    }

    /// Headers as `name=value,name=value`, values with what is not plain as `%2C`.
    private static func headers(_ text: String) throws -> [(name: String, value: String)] {
        try text.split(separator: ",").map { part in
            let trimmed = String(part.drop { $0 == " " })
            guard let mark = trimmed.firstIndex(of: "="), mark > trimmed.startIndex,
                case let name = String(trimmed[..<mark]), isToken(name),
                let value = decoded(trimmed[trimmed.index(after: mark)...]),
                value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
            else {
                // The text may be a secret.
                throw TraceSettingsError(
                    name: "otlp-headers",
                    reason: "must be like authorization=Bearer%20TOKEN,x-tenant=studio"
                )
            }
            return (name, value)
        }
    }

    /// A text whose `%2C` are what they stand for; nil where one stands for nothing.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: Array(rest.prefix(2)), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func isToken(_ text: String) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_.!#$%&'*+^`|~".utf8.contains(byte)
            }
        }
    }

    private static func share(_ text: String) throws -> Double {
        let isPercent = text.hasSuffix("%")
        let number = Double(isPercent ? text.dropLast() : text[...])
        guard let value = number.map({ isPercent ? $0 / 100 : $0 }), (0...1).contains(value) else {
            throw TraceSettingsError(
                name: "trace-sample",
                reason: "must be like 0.1 or 10%, not '\(text)'"
            )
        }
        return value
    }
}

/// What is wrong with a setting of traces.
package struct TraceSettingsError: Error, CustomStringConvertible {
    let name: String
    let reason: String

    package var description: String { "--\(name) \(reason)" }
}
