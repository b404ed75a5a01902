import FarmModel
import FarmStore

/// What an owner's quotas, and the named limits, say to a job that is submitted.
struct OwnerStanding: Sendable {
    /// What the job may not ask for.
    private(set) var problems: [SpecificationProblem] = []
    /// What lets it wait, or soon may.
    private(set) var warnings: [SpecificationProblem] = []
    /// Set where the owner has no room for its pictures.
    private var shortage: QuotaShortage?

    /// Looks at a job's priority and limits and at what its owner uses.
    ///
    /// A job that is there already is not refused: what was lowered since is not for it.
    ///
    /// - Parameters:
    ///   - specification: The job.
    ///   - key: The submitter's name for it.
    ///   - caller: Who submits it, and whose it is.
    ///   - store: Where quotas and limits are.
    /// - Throws: `DatabaseError`.
    init(
        of specification: JobSpecification,
        key: JobKey?,
        by caller: Caller,
        _ store: FarmStore
    ) async throws {
        for name in try await store.unknownLimits(among: specification.requirements.limits ?? []) {
            let shortage = LimitShortage(name: name, count: nil)
            warn("requirements.limits", "it waits: \(WaitingCause.namedLimit(shortage).sentence)")
        }
        guard let account = try await store.accounts(of: caller.owner).first else { return }
        let quotas = account.quotas
        if let ceiling = quotas.priorityCeiling, specification.priority > ceiling,
            !caller.role.includes(.operator)
        {
            problems.append(
                SpecificationProblem(
                    path: "priority",
                    message: Self.refusal(
                        of: specification.priority,
                        above: ceiling,
                        owner: caller.owner
                    )
                )
            )
        }
        if let most = quotas.maxBlobBytes, account.blobBytes >= most {
            shortage = QuotaShortage(
                owner: caller.owner,
                kind: .blobBytes,
                used: Double(account.blobBytes),
                most: Double(most)
            )
        }
        if let budget = quotas.budget { warn(of: budget, account) }
        guard !problems.isEmpty || shortage != nil, let key else { return }
        let known = try await store.job(key: key.rawValue, owner: caller.owner)
        guard known?.canonicalDigest == specification.digest.rawValue else { return }
        problems = []
        shortage = nil
    }

    /// Refuses a job for whose pictures its owner has no room.
    func check() throws {
        guard let shortage else { return }
        throw CoordinatorProblem(.quotaExceeded, shortage.sentence)
    }

    /// Why a priority is refused.
    static func refusal(of priority: Int, above ceiling: Int, owner: String) -> String {
        "the priority \(priority) is above \(ceiling), the highest that '\(owner)' may give; an operator "
            + "may give it, or raise the ceiling"
    }

    private mutating func warn(of budget: ComputeBudget, _ account: AccountRecord) {
        let used = account.computeSeconds
        guard let mark = FarmStore.budgetMarks.min(), used >= budget.seconds * Double(mark) / 100
        else { return }
        let shortage = QuotaShortage(
            owner: account.owner,
            kind: .compute,
            used: used,
            most: budget.seconds,
            period: budget.period
        )
        if budget.action == .hold, used >= budget.seconds {
            warn("", "it waits: \(shortage.sentence)")
        } else {
            warn("", "of the budget of '\(account.owner)' is used: \(shortage.amount)")
        }
    }

    private mutating func warn(_ path: String, _ message: String) {
        warnings.append(SpecificationProblem(path: path, message: message))
    }
}
