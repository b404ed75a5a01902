import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addErasingRoutes(to table: RouteTable) {
        table.on(
            .delete,
            "/v1/accounts/{owner}",
            query: ["what_if"],
            for: .least(.admin)
        ) { request, context in
            let owner = try context.part("owner") { $0 }
            guard try !request.flag("what_if") else {
                return try Response(message: await store.erasurePreview(of: owner))
            }
            return try await erase(owner, by: context.bearer())
        }
    }

    private func erase(_ owner: String, by caller: Caller) async throws -> Response {
        guard owner != caller.owner else {
            throw CoordinatorProblem(
                .wrongState,
                "'\(owner)' is whom your own token is of; let another admin erase it"
            )
        }
        let erasure = OwnerErasure(store: store, blobs: blobs, owner: owner)
        // Not a child of the request: a client that goes does not leave it half done.
        let work = Task {
            try await store.withBlobsHeld { try await erasure.run(by: caller.owner) }
        }
        defer {
            tokens.forget()
            jobs.forget(owner: owner)
        }
        let view: ErasureView?
        do {
            view = try await work.value
        } catch is OwnerErasure.StillSubmits {
            throw CoordinatorProblem(
                .wrongState,
                "'\(owner)' goes on submitting; shut it out at its identity provider, then erase it again"
            )
        }
        jobs.forget(owner: FarmOwner.audits)
        guard let view else {
            throw CoordinatorProblem(
                .wrongState,
                "a backup or a sweep of blobs is under way; try again when it is over"
            )
        }
        return try Response(message: view)
    }
}
