import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm accounts ls`, `set OWNER [--weight N] [--max-images COUNT] [--max-blobs SIZE]
/// [--priority-ceiling N] [--budget TIME --per day|week|month --then warn|hold]`.
struct AccountsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accounts",
        abstract: "List owners, and set their shares and quotas.",
        subcommands: [List.self, Set.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the owners with what they may use and use."
        )

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                let accounts = try await farm.client().accounts().all()
                var table = TextTable("OWNER", "WEIGHT", "IMAGES", "BLOBS", "PRIORITY", "COMPUTE")
                for account in accounts {
                    table.add(
                        account.owner,
                        "\(account.weight)",
                        AccountText.images(account),
                        AccountText.blobs(account),
                        account.priorityCeiling.map { "up to \($0)" } ?? "-",
                        AccountText.compute(account)
                    )
                }
                try farm.show(accounts, table, none: "no owner has had a job")
                return .done
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set an owner's share and quotas; 'none' takes a quota away.",
            discussion: """
                What is left out stays as it is. A quota that is lowered stops nothing that runs; jobs \
                above a lowered priority ceiling keep their priority.
                """
        )

        @Argument(help: "Whose.")
        var owner: String

        @Option(help: "Its part against other owners': a number above 0.")
        var weight: Double?

        @Option(help: "How many of its images are at work at one time.")
        var maxImages: QuotaArgument<Int>?

        @Option(help: "How much it may hold in references and pictures, as 20GiB.")
        var maxBlobs: QuotaArgument<ByteArgument>?

        @Option(help: "The highest priority that its own people may give, 0 to 100.")
        var priorityCeiling: QuotaArgument<Int>?

        @Option(help: "How long workers may work for it, all together, as 8h or 28800s.")
        var budget: QuotaArgument<DurationArgument>?

        @Option(help: "The time up to now in which that counts: day, week or month.")
        var per: BudgetPeriod = .month

        @Option(help: "What is done when the budget is used up: warn, or hold its tasks.")
        var then: BudgetAction = .warn

        @OptionGroup var farm: FarmOptions

        func validate() throws {
            if request.isEmpty {
                throw ValidationError("say what to set: see dreamfarm accounts set --help")
            }
            if let weight, !(weight > 0 && weight.isFinite) {
                throw ValidationError("--weight is a number above 0")
            }
            if let count = maxImages?.change.value, count < 0 {
                throw ValidationError("--max-images is 0 or more, or none")
            }
            if let ceiling = priorityCeiling?.change.value, !(0...100).contains(ceiling) {
                throw ValidationError("--priority-ceiling is 0 to 100, or none")
            }
        }

        private var request: AccountRequest {
            var request = AccountRequest(weight: weight)
            request.maxImages = maxImages?.change
            request.maxBlobBytes = maxBlobs?.change(\.bytes)
            request.priorityCeiling = priorityCeiling?.change
            request.budget = budget?.change {
                ComputeBudget(
                    seconds: Double($0.duration.components.seconds),
                    period: per,
                    action: then
                )
            }
            return request
        }

        func run() async throws {
            try await CommandExit.run {
                let account = try await farm.client().changeAccount(of: owner, request)
                try farm.show(
                    account,
                    "\(account.owner): weight \(account.weight)",
                    "images at work: \(AccountText.images(account))",
                    "references and pictures: \(AccountText.blobs(account))",
                    "priority: \(account.priorityCeiling.map { "up to \($0)" } ?? "-")",
                    "compute: \(AccountText.compute(account))"
                )
                return .done
            }
        }
    }
}

/// What an owner uses, with what it may use, for people.
private enum AccountText {
    static func images(_ account: AccountView) -> String {
        "\(account.imagesInFlight ?? 0)" + (account.maxImages.map { " of \($0)" } ?? "")
    }

    static func blobs(_ account: AccountView) -> String {
        guard let most = account.maxBlobBytes else { return "-" }
        return "\(ByteCount.text(account.blobBytes ?? 0)) of \(ByteCount.text(most))"
    }

    static func compute(_ account: AccountView) -> String {
        let used = "\(Int(account.computeSeconds ?? 0)) s"
        guard let budget = account.budget else { return used }
        return "\(used) of \(Int(budget.seconds)) s a \(budget.period), then \(budget.action)"
    }
}

/// A quota on the command line: a value, or `none` for none.
struct QuotaArgument<Value: ExpressibleByArgument>: ExpressibleByArgument {
    private let value: Value?

    init?(argument: String) {
        guard argument != "none" else {
            value = nil
            return
        }
        guard let value = Value(argument: argument) else { return nil }
        self.value = value
    }

    /// What becomes of the quota, by what its value means.
    func change<Quota>(_ meaning: (Value) -> Quota) -> Change<Quota> {
        value.map { .set(meaning($0)) } ?? .remove
    }
}

extension QuotaArgument where Value: Codable & Hashable & Sendable {
    /// What becomes of the quota.
    var change: Change<Value> { change { $0 } }
}

/// An amount of bytes on the command line, as `20GiB`.
struct ByteArgument: ExpressibleByArgument {
    let bytes: Int64

    init?(argument: String) {
        guard let bytes = ByteCount.bytes(argument) else { return nil }
        self.bytes = bytes
    }
}

extension BudgetPeriod: ExpressibleByArgument {}
extension BudgetAction: ExpressibleByArgument {}
