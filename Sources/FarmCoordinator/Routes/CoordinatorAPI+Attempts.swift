import BlobStore
import FarmModel
import FarmStore
import Hummingbird
import NIOCore
import Telemetry
import Tracing

extension CoordinatorAPI {
    /// The longest message of a failure that is kept, in characters.
    private static let longestMessage = 4096
    /// The largest artifact that is accepted, in bytes.
    private static let largestArtifact: Int64 = 256 << 20

    func addAttemptRoutes(to table: RouteTable) {
        table.on(
            .put,
            "/v1/attempts/{attempt}/images/{index}",
            query: DeliveryRequest.queryKeys,
            for: .least(.worker)
        ) {
            try await deliver($0, $1)
        }
        table.on(
            .put,
            "/v1/attempts/{attempt}/checkpoint",
            query: CheckpointRequest.queryKeys,
            for: .least(.worker)
        ) {
            try await keepCheckpoint($0, $1)
        }
        table.on(.post, "/v1/attempts/{attempt}/complete", for: .least(.worker)) {
            let message: AttemptRequest = try await $0.message()
            let fence = try await check(message.fence, $1)
            return try await end(
                fence,
                store.completeAttempt(fence, totals: AttemptTotals(message.report)),
                succeeded: message.report
            )
        }
        table.on(.post, "/v1/attempts/{attempt}/fail", for: .least(.worker)) {
            let message: FailureRequest = try await $0.message()
            let fence = try await check(message.fence, $1)
            let failure = AttemptFailure(
                failureClass: message.failureClass,
                message: String(message.message.prefix(Self.longestMessage)),
                image: message.image
            )
            return try await end(
                fence,
                store.failAttempt(fence, failure: failure, totals: AttemptTotals(message.report))
            )
        }
        table.on(.post, "/v1/attempts/{attempt}/release", for: .least(.worker)) {
            let message: AttemptRequest = try await $0.message()
            let fence = try await check(message.fence, $1)
            return try await end(fence, release(fence, message))
        }
        table.on(
            .get,
            "/v1/artifacts/{key}",
            query: ["attempt", "task", "epoch"],
            for: .least(.worker)
        ) { try await artifact($0, $1) }
        table.on(
            .put,
            "/v1/artifacts/{key}",
            query: ["attempt", "task", "epoch"],
            for: .least(.worker)
        ) {
            try await keepArtifact($0, $1)
        }
    }

    // MARK: - Pictures

    /// Stores the picture durably, then marks its image delivered under the fence.
    private func deliver(_ request: Request, _ context: Context) async throws -> Response {
        let attempt = try context.part("attempt") { AttemptID($0) }
        let index = try context.part("index") { Int32($0).map { Int($0) } }
        let query = request.uri.queryParameters
        guard
            let delivery = DeliveryRequest(
                attempt: attempt,
                imageIndex: index,
                query: { query.get($0) }
            )
        else { throw Self.noLease }
        try await holders.check(delivery.fence, by: context.bearer())
        let stored = try await receive(
            request,
            expecting: delivery.digest,
            limit: Self.largestPicture
        )
        let outcome = try await settings.tracer.withSpan("deliver", ofKind: .client) { span in
            span.updateAttributes { $0["db.system.name"] = "postgresql" }
            return try await store.deliverImage(
                delivery.fence,
                imageIndex: index,
                output: DeliveredOutput(digest: stored.digest.rawValue, size: stored.size),
                final: delivery.isFinal ? AttemptTotals(delivery.report) : nil
            )
        }
        switch outcome {
        case .delivered(let task):
            if task != nil { forget(attempt, succeeded: delivery.report) }
            return try Response(
                message: DeliveryAnswer(digest: stored.digest, wasDelivered: false, task: task),
                status: .created
            )
        case .alreadyDelivered(let digest):
            guard digest == stored.digest.rawValue else {
                throw CoordinatorProblem(
                    .wrongState,
                    "image \(index) is delivered with other bytes, \(digest); nothing is changed"
                )
            }
            return try Response(message: DeliveryAnswer(digest: stored.digest, wasDelivered: true))
        case .stale:
            forget(attempt)
            throw staleWrite()
        case .unknownImage:
            throw CoordinatorProblem(.notFound, "the task has no image \(index)")
        }
    }

    private func keepCheckpoint(_ request: Request, _ context: Context) async throws -> Response {
        let attempt = try context.part("attempt") { AttemptID($0) }
        let query = request.uri.queryParameters
        guard let checkpoint = CheckpointRequest(attempt: attempt, query: { query.get($0) }) else {
            throw Self.noLease
        }
        try await holders.check(checkpoint.fence, by: context.bearer())
        let stored = try await receive(request, limit: Self.largestPicture)
        let isCurrent = try await store.putCheckpoint(
            checkpoint.fence,
            CheckpointRecord(
                imageIndex: checkpoint.imageIndex,
                digest: stored.digest.rawValue,
                size: stored.size,
                step: checkpoint.step,
                numericClass: checkpoint.numericClass
            )
        )
        guard isCurrent else { throw staleWrite() }
        return try Response(
            message: CheckpointAnswer(digest: stored.digest, step: checkpoint.step),
            status: .created
        )
    }

    // MARK: - Ends

    private func release(
        _ fence: AttemptFence,
        _ message: AttemptRequest
    ) async throws -> AttemptOutcome {
        let totals = AttemptTotals(message.report)
        guard message.reason == .parked else {
            return try await store.releaseAttempt(
                fence,
                lostMember: message.reason == .groupLost,
                totals: totals
            )
        }
        return try await store.parkAttempt(
            fence,
            image: message.image,
            step: message.step,
            totals: totals
        )
    }

    private func end(
        _ fence: AttemptFence,
        _ outcome: AttemptOutcome,
        succeeded report: AttemptReport? = nil
    ) throws -> Response {
        switch outcome {
        case .done(let state):
            forget(fence.attempt, succeeded: report)
            return try Response(message: AttemptAnswer(task: state))
        case .stale:
            forget(fence.attempt)
            throw staleWrite()
        case .incomplete(let undelivered):
            throw CoordinatorProblem(
                .wrongState,
                "\(undelivered) images of the task are not delivered; deliver or release them"
            )
        }
    }

    /// Forgets an attempt that is over; with the report of one that succeeded its prediction is judged.
    func forget(_ attempt: AttemptID, succeeded report: AttemptReport? = nil) {
        live.forget(attempt)
        metrics.note(endOf: attempt, report)
    }

    private func check(
        _ fence: AttemptFence,
        _ context: Context
    ) async throws -> AttemptFence {
        guard try context.part("attempt", { AttemptID($0) }) == fence.attempt else {
            throw CoordinatorProblem(.malformed, "the path names another attempt than the body")
        }
        try await holders.check(fence, by: context.bearer())
        return fence
    }

    private static var stale: CoordinatorProblem {
        CoordinatorProblem(.stale, "the lease is over; drop the attempt")
    }

    /// The problem of a write after the end of its lease, which is counted.
    func staleWrite() -> CoordinatorProblem {
        metrics.noteStaleWrite()
        return Self.stale
    }

    private static var noLease: CoordinatorProblem {
        CoordinatorProblem(
            .malformed,
            "the query lacks the task and epoch of the lease, or holds what is no number or digest"
        )
    }

    // MARK: - Artifacts

    /// The artifact, among those of the owner whose task the caller works on.
    private func artifact(_ request: Request, _ context: Context) async throws -> Response {
        let key = try context.part("key", ArtifactKey.init(rawValue:))
        let scope = try await scope(request, context, needing: key)
        guard let artifact = try await store.artifact(in: scope, key: key),
            let digest = BlobDigest(rawValue: artifact.digest)
        else { throw CoordinatorProblem(.notFound, "nobody has computed \(key.rawValue) yet") }
        return try await content(of: digest, type: "application/octet-stream", request)
    }

    private func keepArtifact(_ request: Request, _ context: Context) async throws -> Response {
        let key = try context.part("key", ArtifactKey.init(rawValue:))
        let scope = try await scope(request, context, needing: key, isWrite: true)
        let stored = try await receive(request, limit: Self.largestArtifact)
        let artifact = ArtifactRecord(digest: stored.digest.rawValue, size: stored.size)
        guard try await store.putArtifact(artifact, key: key, in: scope) != nil else {
            throw staleWrite()
        }
        return Response(status: .created)
    }

    /// Whose artifacts the lease in a query is for; its job is noted as one that needs the artifact.
    private func scope(
        _ request: Request,
        _ context: Context,
        needing key: ArtifactKey,
        isWrite: Bool = false
    ) async throws -> ArtifactScope {
        let query = request.uri.queryParameters
        guard let task = query.get("task").flatMap({ TaskID($0) }),
            let attempt = query.get("attempt").flatMap({ AttemptID($0) }),
            let epoch = query.get("epoch").flatMap({ Int64($0) })
        else { throw Self.noLease }
        let fence = AttemptFence(task: task, attempt: attempt, epoch: epoch)
        try await holders.check(fence, by: context.bearer())
        guard let scope = try await store.artifactScope(of: fence) else {
            throw isWrite ? staleWrite() : Self.stale
        }
        if let job = live.job(of: task) { warm.note(key, neededBy: job) }
        return scope
    }
}
