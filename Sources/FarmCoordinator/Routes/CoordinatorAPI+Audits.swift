import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addAuditRoutes(to table: RouteTable) {
        table.on(
            .get,
            "/v1/audits",
            query: ["state"] + PageRequest.queryKeys,
            for: .least(.operator)
        ) { request, _ in
            let page = try PageRequest(request)
            var state: PictureAuditState?
            if let text = request.uri.queryParameters.get("state") {
                guard let known = PictureAuditState(rawValue: text) else {
                    throw CoordinatorProblem(.malformed, "'\(text)' is no state of an audit")
                }
                state = known
            }
            let rows = try await store.pictureAudits(
                state: state,
                before: page.cursor { Int64($0) },
                limit: page.limit + 1
            )
            return try Response(
                message: page.page(rows, cursor: { String($0.id) }) { PictureAuditView($0) }
            )
        }
        table.on(.get, "/v1/audits/{audit}", for: .least(.operator)) { _, context in
            try await Response(message: PictureAuditView(audit(context)))
        }
        table.on(
            .get,
            "/v1/audits/{audit}/pictures",
            query: PageRequest.queryKeys,
            for: .least(.operator)
        ) { request, context in
            let page = try PageRequest(request)
            let rows = try await store.pictures(
                ofLiarIn: audit(context).id,
                after: page.cursor { ImageID($0) },
                limit: page.limit + 1
            )
            return try Response(
                message: page.page(rows, cursor: { $0.image.description }) {
                    DeliveredPictureView($0)
                }
            )
        }
    }

    private func audit(_ context: Context) async throws -> PictureAuditRecord {
        let number = try context.part("audit") { Int64($0) }
        guard let audit = try await store.pictureAudit(number) else {
            throw CoordinatorProblem(.notFound, "there is no audit \(number)")
        }
        return audit
    }
}

extension PictureAuditView {
    init(_ audit: PictureAuditRecord) {
        let original = AuditedRenderingView(audit.original)
        self.init(
            number: audit.id,
            state: audit.state,
            image: audit.image,
            job: audit.job,
            index: audit.index,
            owner: audit.owner,
            numericClass: audit.numericClass,
            renderings: [original]
                + audit.copies.map { copy in
                    copy.rendering.map { AuditedRenderingView($0) }
                        ?? AuditedRenderingView(worker: nil, digest: nil, isShared: false)
                },
            drawnAt: audit.drawnAt
        )
        liar = audit.liar
        suspects = audit.suspects
        decidedAt = audit.decidedAt
    }
}

extension AuditedRenderingView {
    init(_ rendering: AuditedRendering) {
        self.init(
            worker: rendering.name,
            digest: rendering.digest,
            isShared: rendering.isShared
        )
    }
}

extension DeliveredPictureView {
    init(_ picture: DeliveredPicture) {
        self.init(
            image: picture.image,
            job: picture.job,
            index: picture.index,
            owner: picture.owner,
            digest: picture.digest,
            deliveredAt: picture.deliveredAt
        )
    }
}
