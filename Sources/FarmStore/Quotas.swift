import FarmModel
import Postgres

// What bounds the claims of an owner or of a job, beside what a worker lacks: decided here alone.

extension OwnerView {
    /// The quota that keeps the owner's tasks from being claimed; nil where none does.
    ///
    /// - Parameters:
    ///   - owner: The owner.
    ///   - images: How many images the next task has.
    /// - Returns: The first that is used up.
    func shortage(of owner: String, images: Int) -> QuotaShortage? {
        if let budget = quotas.budget, budget.action == .hold, computeSeconds >= budget.seconds {
            return QuotaShortage(
                owner: owner,
                kind: .compute,
                used: computeSeconds,
                most: budget.seconds,
                period: budget.period
            )
        }
        if let most = quotas.maxBlobBytes, blobBytes >= most {
            return QuotaShortage(
                owner: owner,
                kind: .blobBytes,
                used: Double(blobBytes),
                most: Double(most)
            )
        }
        guard let most = quotas.maxImages else { return nil }
        // a task that is larger than the quota is rendered image by image
        let wanted = images > most ? 1 : images
        guard imagesInFlight + wanted > most else { return nil }
        return QuotaShortage(
            owner: owner,
            kind: .images,
            used: Double(imagesInFlight),
            most: Double(most)
        )
    }
}

extension AccountQuotas {
    /// Whether any of them can keep tasks from being claimed.
    var boundClaims: Bool { maxImages != nil || maxBlobBytes != nil || budget?.action == .hold }

    /// The columns of a row of `account`.
    static let columns = """
        account.max_images, account.max_blob_bytes, account.priority_ceiling,
            account.budget_seconds, account.budget_period, account.budget_action
        """

    /// Reads the quotas from a row with ``columns``.
    init(_ row: Row) throws {
        self.init()
        maxImages = try row.decodeIfPresent("max_images")
        maxBlobBytes = try row.decodeIfPresent("max_blob_bytes")
        priorityCeiling = try row.decodeIfPresent("priority_ceiling")
        guard let seconds = try row.decodeIfPresent("budget_seconds", as: Double.self) else {
            return
        }
        budget = ComputeBudget(
            seconds: seconds,
            period: try row.decode("budget_period"),
            action: try row.decode("budget_action")
        )
    }
}

extension QueueView {
    /// The head with whether something bounds what its owner or it may take.
    func withQuota(_ head: HeadView) -> HeadView {
        let quotas = owners[head.owner]?.quotas
        guard !head.requirement.limits.isEmpty || quotas?.boundClaims ?? false else { return head }
        var head = head
        head.isBounded = true
        head.countsImages = quotas?.maxImages != nil
        return head
    }

    /// The quota or named limit that keeps a head's tasks from being claimed; nil where none does.
    func bound(of head: HeadView) -> WaitingCause? {
        guard head.isBounded else { return nil }
        if let shortage = owners[head.owner]?.shortage(of: head.owner, images: head.taskImages) {
            return .quota(shortage)
        }
        for name in head.requirement.limits {
            guard let limit = limits[name] else {
                return .namedLimit(LimitShortage(name: name, count: nil))
            }
            guard limit.used >= limit.count else { continue }
            return .namedLimit(
                LimitShortage(
                    name: name,
                    count: limit.count,
                    used: limit.used,
                    own: limit.owners[head.owner] ?? 0
                )
            )
        }
        return nil
    }

    /// Notes that a task of a head is leased, or is to be.
    mutating func noteUse(of head: HeadView, images: Int) {
        guard head.isBounded else { return }
        owners[head.owner]?.imagesInFlight += images
        for limit in head.requirement.limits { limits[limit]?.used += 1 }
    }
}
