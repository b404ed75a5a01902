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
