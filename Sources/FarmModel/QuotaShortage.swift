/// A named limit that keeps a task from being claimed.
package struct LimitShortage: Hashable, Sendable {
    package var name: String
    /// How many places it has; nil where nobody has set it.
    package var count: Int?
    /// How many tasks have a place, and how many of them are the same owner's.
    package var used: Int
    package var own: Int

    package init(name: String, count: Int?, used: Int = 0, own: Int = 0) {
        self.name = name
        self.count = count
        self.used = used
        self.own = own
    }

    /// The sentence of ``WaitingCause``; whose other tasks have places it does not say.
    var sentence: String {
        guard let count else {
            return "nobody has set the limit '\(name)' that it asks for; an operator does with: "
                + "dreamfarm limits set \(ShellText.quote(name)) COUNT"
        }
        let raise = "dreamfarm limits set \(ShellText.quote(name)) COUNT"
        guard count > 0 else {
            return "the limit '\(name)' is set to 0, which stops what asks for it; an operator "
                + "raises it with: \(raise)"
        }
        return "the limit '\(name)' has \(count) \(count == 1 ? "place" : "places") and \(used) "
            + "\(used == 1 ? "is" : "are") in use, \(own) by tasks of this owner and \(used - own) by "
            + "others'; it goes on when one ends, or an operator raises it with: \(raise)"
    }

    /// The figures of the sentence, by name.
    var details: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "limit": .string(name), "used": .integer(used), "own": .integer(own),
        ]
        if let count { entries["count"] = .integer(count) }
        return .mapping(entries)
    }
}

/// What an owner may use of the farm at most.
package enum QuotaKind: String, CaseIterable, Sendable {
    /// Images that are leased at one time.
    case images
    /// Bytes of blobs.
    case blobBytes = "blob_bytes"
    /// Seconds of workers.
    case compute
}

/// A quota that keeps an owner's tasks from being claimed.
package struct QuotaShortage: Hashable, Sendable {
    package var owner: String
    package var kind: QuotaKind
    /// What is used and what may be, in images, bytes or seconds.
    package var used: Double
    package var most: Double
    /// Over which time it counts; nil for at one time.
    package var period: BudgetPeriod?

    package init(
        owner: String,
        kind: QuotaKind,
        used: Double,
        most: Double,
        period: BudgetPeriod? = nil
    ) {
        self.owner = owner
        self.kind = kind
        self.used = used
        self.most = most
        self.period = period
    }

    /// What is used and what may be, in words.
    package var amount: String {
        switch kind {
        case .images: "\(Self.whole(used)) of \(Self.whole(most)) images at work at one time"
        case .blobBytes:
            "\(ByteCount.text(Self.whole(used))) of \(ByteCount.text(Self.whole(most))) of references and "
                + "pictures"
        case .compute:
            "\(Self.whole(used)) of \(Self.whole(most)) seconds of workers"
                + (period.map { " in the last \($0.words)" } ?? "")
        }
    }

    /// The sentence of ``WaitingCause``.
    package var sentence: String {
        "the owner '\(owner)' uses \(amount); \(remedy), or an operator raises the quota with: "
            + "dreamfarm accounts set \(ShellText.quote(owner)) \(option)"
    }

    /// What the owner's own people can do.
    private var remedy: String {
        switch kind {
        case .images: "it goes on when running images end"
        case .blobBytes: "delete jobs that are over, with: dreamfarm rm JOB"
        case .compute: "it goes on by itself as the period moves on"
        }
    }

    private var option: String {
        switch kind {
        case .images: "--max-images COUNT"
        case .blobBytes: "--max-blobs SIZE"
        case .compute: "--budget TIME"
        }
    }

    /// The figures of the sentence, by name.
    var details: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "owner": .string(owner), "quota": .string(kind.rawValue),
            "used": .integer(Int(Self.whole(used))), "limit": .integer(Int(Self.whole(most))),
        ]
        if let period { entries["period"] = .string(period.rawValue) }
        return .mapping(entries)
    }

    private static func whole(_ value: Double) -> Int64 {
        Int64(exactly: value.rounded()) ?? .max
    }
}
