/// Over which time a budget counts, up to now.
package enum BudgetPeriod: String, Codable, CaseIterable, Sendable {
    /// The last 24 hours.
    case day
    /// The last 7 days.
    case week
    /// The last 30 days.
    case month

    /// How long it is, in hours.
    package var hours: Int {
        switch self {
        case .day: 24
        case .week: 168
        case .month: 720
        }
    }

    /// The period in words, behind "in the last".
    package var words: String {
        switch self {
        case .day: "24 hours"
        case .week: "7 days"
        case .month: "30 days"
        }
    }
}

/// What is done when a budget is used up.
package enum BudgetAction: String, Codable, CaseIterable, Sendable {
    /// It is told, in the audit trail, the log, and the answers to submissions.
    case warn
    /// It is told, and no more tasks are claimed until there is budget again.
    case hold
}

/// How many seconds of workers an owner may use.
package struct ComputeBudget: Codable, Hashable, Sendable {
    /// Seconds of workers, a group's as many times as it has workers.
    package var seconds: Double
    package var period: BudgetPeriod
    package var action: BudgetAction

    package init(seconds: Double, period: BudgetPeriod, action: BudgetAction) {
        self.seconds = seconds
        self.period = period
        self.action = action
    }
}

/// What an owner may use at most; nil is no bound.
package struct AccountQuotas: Hashable, Sendable {
    /// Images that are leased at one time.
    package var maxImages: Int?
    /// Bytes of the blobs that it holds and of its pictures.
    package var maxBlobBytes: Int64?
    /// The highest priority that its own people may give.
    package var priorityCeiling: Int?
    package var budget: ComputeBudget?

    package init() {}
}

/// An owner's part of the farm, what it may use at most, and what it uses.
package struct AccountView: Codable, Hashable, Sendable {
    package var owner: String
    /// The part relative to other owners'; 1 where nobody said otherwise.
    package var weight: Double
    /// Floating point operations that count against it now; they fade by half an hour.
    package var charge: Double
    /// How many of its images may be leased at one time; absent for any number, as are those below.
    package var maxImages: Int?
    /// How many of its images are leased now.
    package var imagesInFlight: Int?
    /// How many bytes it may hold.
    package var maxBlobBytes: Int64?
    /// How many bytes it holds, as last measured; only where there is a quota.
    package var blobBytes: Int64?
    /// The highest priority that its own people may give.
    package var priorityCeiling: Int?
    package var budget: ComputeBudget?
    /// Seconds of workers that it used in the budget's period, in 30 days where it has none.
    package var computeSeconds: Double?

    package init(owner: String, weight: Double, charge: Double, quotas: AccountQuotas = .init()) {
        self.owner = owner
        self.weight = weight
        self.charge = charge
        maxImages = quotas.maxImages
        maxBlobBytes = quotas.maxBlobBytes
        priorityCeiling = quotas.priorityCeiling
        budget = quotas.budget
    }
}

/// What becomes of a value that may be left as it is.
package enum Change<Value: Codable & Hashable & Sendable>: Hashable, Sendable {
    case set(Value)
    /// There is none any more.
    case remove

    /// The new value; nil for none.
    package var value: Value? { if case .set(let value) = self { value } else { nil } }
}

/// What is to change of an owner: the body of `PUT /v1/accounts/{owner}`.
///
/// What is left out stays as it is; null takes a quota away.
package struct AccountRequest: Codable, Hashable, Sendable {
    package var weight: Double?
    package var maxImages: Change<Int>?
    package var maxBlobBytes: Change<Int64>?
    package var priorityCeiling: Change<Int>?
    package var budget: Change<ComputeBudget>?

    private enum CodingKeys: CodingKey {
        case weight
        case maxImages
        case maxBlobBytes
        case priorityCeiling
        case budget
    }

    package init(weight: Double? = nil) {
        self.weight = weight
    }

    /// Whether it changes nothing.
    package var isEmpty: Bool { self == AccountRequest() }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        weight = try container.decodeIfPresent(Double.self, forKey: .weight)
        maxImages = try Self.change(of: .maxImages, in: container)
        maxBlobBytes = try Self.change(of: .maxBlobBytes, in: container)
        priorityCeiling = try Self.change(of: .priorityCeiling, in: container)
        budget = try Self.change(of: .budget, in: container)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(weight, forKey: .weight)
        if let maxImages { try container.encode(maxImages.value, forKey: .maxImages) }
        if let maxBlobBytes { try container.encode(maxBlobBytes.value, forKey: .maxBlobBytes) }
        if let priorityCeiling {
            try container.encode(priorityCeiling.value, forKey: .priorityCeiling)
        }
        if let budget { try container.encode(budget.value, forKey: .budget) }
    }

    private static func change<Value: Codable & Hashable & Sendable>(
        of key: CodingKeys,
        in container: KeyedDecodingContainer<CodingKeys>
    ) throws -> Change<Value>? {
        guard container.contains(key) else { return nil }
        return try container.decodeIfPresent(Value.self, forKey: key).map { .set($0) } ?? .remove
    }
}
