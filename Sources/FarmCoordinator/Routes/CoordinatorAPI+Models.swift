import BlobStore
import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addModelRoutes(to table: RouteTable) {
        table.on(.get, "/v1/models", query: PageRequest.queryKeys, for: .joiningOr(.token)) {
            request,
            _ in
            let page = try PageRequest(request)
            return try Response(
                message: page.page(ofAll: await store.models(), cursor: \.name) {
                    ModelView($0)
                }
            )
        }
        table.on(.get, "/v1/models/{model}", for: .joiningOr(.token)) { _, context in
            let model = try await model(context)
            var view = ModelView(model)
            view.files = try await store.modelFiles(of: model.name).map {
                ModelFileView(path: $0.path, digest: $0.digest, size: $0.size)
            }
            return try Response(message: view)
        }
        table.on(.put, "/v1/models/{model}", for: .least(.operator)) { request, context in
            try await add(request, context)
        }
        table.on(.post, "/v1/models/{model}/default", for: .least(.operator)) { _, context in
            let name = try context.part("model") { $0 }
            guard try await store.setDefaultModel(name, by: context.bearer().owner) else {
                throw Self.unknown(name)
            }
            return try Response(message: ModelView(await model(context)))
        }
        table.on(.delete, "/v1/models/{model}", for: .least(.operator)) { _, context in
            let name = try context.part("model") { $0 }
            switch try await store.removeModel(name, by: context.bearer().owner) {
            case .removed: return Response(status: .noContent)
            case .notFound: throw Self.unknown(name)
            case .inUse(let reason): throw CoordinatorProblem(.wrongState, reason)
            }
        }
    }

    private func model(_ context: Context) async throws -> ModelRecord {
        let name = try context.part("model") { $0 }
        guard let model = try await store.model(named: name) else { throw Self.unknown(name) }
        return model
    }

    private static func unknown(_ name: String) -> CoordinatorProblem {
        CoordinatorProblem(.notFound, "there is no model '\(name)'")
    }

    /// Refuses what cannot be a model's constants.
    static func check(_ costs: CostConstants?) throws {
        guard let problem = costs?.problem else { return }
        throw CoordinatorProblem(.malformed, "in the model's costs \(problem)")
    }

    /// Records a model whose files are in the blob store.
    private func add(_ request: Request, _ context: Context) async throws -> Response {
        let name = try context.part("model") { $0 }
        let message = try await request.message(ModelRequest.self, limit: 16 << 20)
        try Self.check(message.costs)
        let missing = try await blobs.missing(among: message.files.map(\.digest))
        guard missing.isEmpty else {
            let paths = message.files.filter { missing.contains($0.digest) }.map(\.path)
            throw CoordinatorProblem(
                .missingBlobs,
                "these files are not uploaded: \(paths.joined(separator: ", "))"
            )
        }
        let outcome = try await store.addModel(
            name: name,
            digest: message.digest,
            defaults: FarmJSON.text(message.defaults),
            costConstants: message.costs.map { try FarmJSON.text($0) } ?? "{}",
            files: message.files.map {
                ModelFile(path: $0.path, digest: $0.digest, size: $0.size)
            },
            by: context.bearer().owner
        )
        switch outcome {
        case .added:
            return try Response(
                message: ModelView(await model(context)),
                status: .created
            )
        case .existing:
            return try Response(message: ModelView(await model(context)))
        case .nameTaken(let digest):
            throw CoordinatorProblem(
                .conflict,
                "the model '\(name)' has the digest \(digest); give another name"
            )
        case .digestTaken(let other):
            throw CoordinatorProblem(
                .conflict,
                "the model is known as '\(other)'; use that name, or remove it first"
            )
        }
    }
}

extension ModelView {
    init(_ model: ModelRecord) {
        self.init(name: model.name, digest: model.digest, isDefault: model.isDefault)
        defaults = try? FarmJSON.decode(from: model.defaults)
        costs = try? FarmJSON.decode(from: model.costConstants)
        recordedAt = model.recordedAt
        workers = model.workers
    }
}
