import JWTKit

/// What a token says, of which only some is looked at.
struct IdentityClaims: JWTPayload {
    var values: [String: ClaimValue]

    init(_ values: [String: ClaimValue]) {
        self.values = values
    }

    init(from decoder: any Decoder) throws {
        values = try [String: ClaimValue](from: decoder)
    }

    func encode(to encoder: any Encoder) throws {
        try values.encode(to: encoder)
    }

    /// Nothing: claims are checked by ``IdentityVerifier``, each with its own refusal.
    func verify(using algorithm: some JWTAlgorithm) {}

    /// The value of a claim; one inside of others is named by the path to it.
    ///
    /// A claim may have dots in its own name, as an address has.
    subscript(path: String) -> ClaimValue? {
        if let value = values[path] { return value }
        var parts = path.split(separator: ".").map(String.init)
        guard parts.count > 1, var value = values[parts.removeFirst()] else { return nil }
        for part in parts {
            guard case .object(let inner) = value, let next = inner[part] else { return nil }
            value = next
        }
        return value
    }
}

/// The value of a claim.
enum ClaimValue: Codable, Hashable, Sendable {
    case text(String)
    case number(Double)
    case flag(Bool)
    case list([ClaimValue])
    case object([String: ClaimValue])
    case nothing

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .nothing
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let list = try? container.decode([ClaimValue].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: ClaimValue].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .flag(let flag): try container.encode(flag)
        case .list(let list): try container.encode(list)
        case .object(let object): try container.encode(object)
        case .nothing: try container.encodeNil()
        }
    }

    /// The text, where it is one.
    var text: String? { if case .text(let text) = self { text } else { nil } }

    /// The number, where it is one.
    var number: Double? { if case .number(let number) = self { number } else { nil } }

    /// The texts of a list, or the one text.
    var texts: [String] {
        switch self {
        case .text(let text): [text]
        case .list(let list): list.compactMap(\.text)
        default: []
        }
    }
}
