package import FoundationEssentials

/// A farm-wide identifier: a random UUID, written in lower case.
///
/// Each kind of thing has its own type, so that a task's id is never passed for a job's.
package protocol FarmIdentifier: RawRepresentable<UUID>, Hashable, Codable, Sendable,
    LosslessStringConvertible
{
    init(rawValue: UUID)
}

extension FarmIdentifier {
    /// Reads an identifier, or returns nil for text that is not a UUID.
    package init?(_ description: String) {
        guard let uuid = UUID(uuidString: description) else { return nil }
        self.init(rawValue: uuid)
    }

    /// A new identifier that nothing else has.
    package static func random() -> Self {
        Self(rawValue: UUID())
    }

    /// A new identifier that sorts after those of earlier moments: a UUID of version 7.
    ///
    /// 48 bits of milliseconds since 1970, 12 bits of the fraction of one, 62 random bits (RFC
    /// 9562, section 5.7).
    package static func timeOrdered(at date: Date = Date()) -> Self {
        let milliseconds = max(0, date.timeIntervalSince1970 * 1000)
        let whole = UInt64(milliseconds)
        let fraction = UInt64((milliseconds - Double(whole)) * 4096)
        let high = whole << 16 | 0x7000 | min(fraction, 4095)
        let low = UInt64.random(in: 0...(.max)) >> 2 | 1 << 63
        func byte(_ word: UInt64, _ place: Int) -> UInt8 {
            UInt8(truncatingIfNeeded: word >> (56 - 8 * place))
        }
        return Self(
            rawValue: UUID(
                uuid: (
                    byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3), byte(high, 4),
                    byte(high, 5), byte(high, 6), byte(high, 7), byte(low, 0), byte(low, 1),
                    byte(low, 2), byte(low, 3), byte(low, 4), byte(low, 5), byte(low, 6),
                    byte(low, 7)
                )
            )
        )
    }

    package var description: String { rawValue.uuidString.lowercased() }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self.init(rawValue: try container.decode(UUID.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The farm-wide identifier of a job.
package struct JobID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of a task, which is what a worker claims.
package struct TaskID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of an image, which is what is delivered.
package struct ImageID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of one try at a task.
package struct AttemptID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of a registered worker.
package struct WorkerID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of a token, which is no secret.
package struct TokenID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// The farm-wide identifier of a group of workers.
package struct GroupID: FarmIdentifier {
    package let rawValue: UUID
    package init(rawValue: UUID) { self.rawValue = rawValue }
}

/// A name that a submitter chose for a job, unique within its owner.
///
/// One to 128 of letters, digits, `.`, `_` and `-`, beginning with a letter or digit; never the
/// shape of an id, so that a route that takes either is not in doubt.
package struct JobKey: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init?(rawValue: String) {
        guard (1...128).contains(rawValue.utf8.count), UUID(uuidString: rawValue) == nil,
            let first = rawValue.utf8.first, Self.isAlphanumeric(first),
            rawValue.utf8.allSatisfy({ Self.isAlphanumeric($0) || "._-".utf8.contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
