import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    /// The largest number of images or places that a quota or limit has.
    private static let largestCount = 1_000_000
    /// The largest budget, in seconds.
    private static let largestBudget = 1e12

    func addAccountRoutes(to table: RouteTable) {
        table.on(.get, "/v1/accounts", query: PageRequest.queryKeys, for: .least(.operator)) {
            request,
            _ in
            let page = try PageRequest(request)
            return try Response(
                message: page.page(ofAll: await store.accounts(), cursor: \.owner) {
                    AccountView($0)
                }
            )
        }
        table.on(.put, "/v1/accounts/{owner}", for: .least(.operator)) { request, context in
            let owner = try context.part("owner") { $0 }
            let change = try await request.message(AccountRequest.self)
            try Self.check(change)
            try await store.changeAccount(
                of: owner,
                change,
                keepingOutputs: settings.keepOutputs,
                by: context.bearer().owner
            )
            guard let account = try await store.accounts(of: owner).first else {
                throw CoordinatorProblem(.notFound, "there is no owner '\(owner)' any more")
            }
            return try Response(message: AccountView(account))
        }
        table.on(.get, "/v1/limits", query: PageRequest.queryKeys, for: .least(.viewer)) {
            request,
            context in
            let page = try PageRequest(request)
            let seesJobs = try context.bearer().role.includes(.operator)
            return try Response(
                message: page.page(
                    ofAll: await store.limits(withJobs: seesJobs),
                    cursor: \.name
                ) { $0 }
            )
        }
        table.on(.put, "/v1/limits/{name}", for: .least(.operator)) { request, context in
            let name = try Self.limitName(context)
            let count = try await request.message(LimitRequest.self).count
            guard (0...Self.largestCount).contains(count) else {
                throw CoordinatorProblem(
                    .malformed,
                    "'count' is a whole number from 0 to \(Self.largestCount)"
                )
            }
            try await store.setLimit(name, count: count, by: context.bearer().owner)
            let limit = try await store.limits(withJobs: true).first { $0.name == name }
            return try Response(message: limit ?? LimitView(name: name, count: count, used: 0))
        }
        table.on(.delete, "/v1/limits/{name}", for: .least(.operator)) { _, context in
            let name = try Self.limitName(context)
            guard try await store.removeLimit(name, by: context.bearer().owner) else {
                throw CoordinatorProblem(.notFound, "there is no limit '\(name)'")
            }
            return Response(status: .noContent)
        }
    }

    /// The name of a limit in the path, as jobs can give it.
    private static func limitName(_ context: Context) throws -> String {
        try context.part("name", JobKey.init(rawValue:)).rawValue
    }

    private static func check(_ change: AccountRequest) throws {
        if let weight = change.weight, !(weight > 0 && weight.isFinite) {
            throw CoordinatorProblem(.malformed, "a weight is a number above 0")
        }
        if let most = change.maxImages?.value, !(0...largestCount).contains(most) {
            throw CoordinatorProblem(
                .malformed,
                "'max_images' is a whole number from 0 to \(largestCount), or null"
            )
        }
        if let bytes = change.maxBlobBytes?.value, bytes < 0 {
            throw CoordinatorProblem(.malformed, "'max_blob_bytes' is a number from 0, or null")
        }
        if let ceiling = change.priorityCeiling?.value, !(0...100).contains(ceiling) {
            throw CoordinatorProblem(.malformed, "'priority_ceiling' is 0 to 100, or null")
        }
        if let seconds = change.budget?.value?.seconds, !(0...largestBudget).contains(seconds) {
            throw CoordinatorProblem(
                .malformed,
                "'budget.seconds' is a number from 0 to \(Int(largestBudget))"
            )
        }
    }
}

extension AccountView {
    init(_ account: AccountRecord) {
        self.init(
            owner: account.owner,
            weight: account.weight,
            charge: account.charge,
            quotas: account.quotas
        )
        imagesInFlight = account.imagesInFlight
        if maxBlobBytes != nil { blobBytes = account.blobBytes }
        computeSeconds = account.computeSeconds
    }
}
