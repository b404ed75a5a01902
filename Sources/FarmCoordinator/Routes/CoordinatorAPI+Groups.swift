import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addGroupRoutes(to table: RouteTable) {
        table.on(
            .get,
            "/v1/groups",
            query: ["dissolved"] + PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, _ in
            let page = try PageRequest(request)
            let groups = try await store.groups(includingDissolved: request.flag("dissolved"))
            return try Response(
                message: page.page(ofAll: groups, cursor: { $0.id.description }) { GroupView($0) }
            )
        }
        table.on(.post, "/v1/groups", for: .least(.operator)) { request, context in
            try await formGroup(await request.message(), by: context.bearer().owner)
        }
        table.on(.get, "/v1/groups/{group}", for: .least(.viewer)) { _, context in
            try Response(message: GroupView(await group(context)))
        }
        table.on(.post, "/v1/groups/{group}/dissolve", query: ["now"], for: .least(.operator)) {
            request,
            context in
            let group = try await group(context)
            let changed = try await store.dissolveGroup(
                group.id,
                now: request.flag("now"),
                by: context.bearer().owner
            )
            return try Response(message: GroupView(changed ?? group))
        }
    }

    /// The group that the path names by its id or name.
    private func group(_ context: Context) async throws -> GroupRecord {
        let name = try context.part("group") { $0 }
        guard let group = try await store.group(name) else {
            throw CoordinatorProblem(.notFound, "there is no group '\(name)'")
        }
        return group
    }

    private func formGroup(_ request: GroupRequest, by actor: String) async throws -> Response {
        if let size = request.size, !GroupOffer.sizes.contains(size) {
            throw CoordinatorProblem(.malformed, "'size' is a whole number 2…64, not \(size)")
        }
        if let name = request.name, !GroupOffer.isName(name) {
            throw CoordinatorProblem(
                .malformed,
                "'name' is a text of 1…100 characters that is no id"
            )
        }
        var wish = GroupWish()
        wish.size = request.size
        wish.precision = request.precision
        wish.pool = request.pool
        wish.name = request.name
        if let name = request.model {
            guard let model = try await store.models().first(where: { $0.name == name }) else {
                throw CoordinatorProblem(.unknownModel, "there is no model '\(name)'")
            }
            wish.modelDigest = model.digest
        }
        for name in request.workers ?? [] {
            guard let worker = try await store.worker(named: name) else {
                throw CoordinatorProblem(.notFound, "there is no worker '\(name)'")
            }
            wish.workers.append(worker.id)
        }
        switch try await store.formGroup(wish, by: actor) {
        case .refused(let reason): throw CoordinatorProblem(.wrongState, reason)
        case .formed(let group):
            return try Response(message: GroupView(group), status: .created)
        }
    }
}

extension GroupView {
    init(_ group: GroupRecord) {
        self.init(
            id: group.id,
            name: group.name,
            state: group.state,
            origin: group.origin,
            pool: group.pool,
            model: group.modelName,
            modelDigest: group.modelDigest,
            precision: group.precision,
            size: group.size,
            wantedSize: group.wantedSize,
            epoch: group.epoch,
            numericClass: group.numericClass,
            createdAt: group.createdAt,
            members: group.members.map { GroupMemberView($0) }
        )
        speed = group.speed > 0 ? group.speed : nil
        formedAt = group.formedAt
        formationSeconds = group.formationSeconds
        expiresAt = group.expiresAt
        reason = group.reason
    }
}

extension GroupMemberView {
    init(_ member: GroupMemberRecord) {
        self.init(
            rank: member.rank,
            worker: member.worker,
            name: member.name,
            phase: member.phase,
            isFit: member.isFit,
            lastSeenAt: member.lastSeenAt,
            figures: member.figures.flatMap {
                try? FarmJSON.decode(GroupFigures.self, from: $0)
            }
        )
    }
}
