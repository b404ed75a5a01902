import BlobStore
import FarmModel
import FarmStore
import Hummingbird
import ServiceLifecycle

extension CoordinatorAPI {
    func addWorkerRoutes(to group: RouterGroup<Context>) {
        group.post("workers") { request, _ in
            try await register(try await request.message())
        }
        group.post("workers/{worker}/heartbeat") { request, context in
            let worker = try context.part("worker") { WorkerID($0) }
            return try await heartbeat(worker, try await request.message())
        }
        group.post("workers/{worker}/claim") { request, context in
            let worker = try context.part("worker") { WorkerID($0) }
            return try await claim(worker, try await request.message())
        }
    }

    private func register(_ request: RegistrationRequest) async throws -> Response {
        guard request.protocolVersion == RegistrationRequest.currentProtocol else {
            throw CoordinatorProblem(
                .malformed,
                "the worker speaks protocol \(request.protocolVersion), this coordinator "
                    + "\(RegistrationRequest.currentProtocol); upgrade the older one"
            )
        }
        var registration = WorkerRegistration(
            name: request.name,
            modelName: request.model.name,
            modelDigest: request.model.digest,
            precision: request.model.precision
        )
        registration.pool = request.pool
        registration.modelDefaults = try FarmJSON.text(request.model.defaults)
        let worker = try await store.registerWorker(registration)
        return try Response(
            message: RegistrationAnswer(
                id: worker.id,
                epoch: worker.epoch,
                name: request.name,
                model: worker.modelName,
                leaseSeconds: timing.lease.inSeconds,
                heartbeatSeconds: timing.heartbeat.inSeconds
            ),
            status: .created
        )
    }

    private func heartbeat(
        _ worker: WorkerID,
        _ request: HeartbeatRequest
    ) async throws -> Response {
        let outcome = try await store.heartbeat(
            worker: worker,
            attempts: request.running.map(\.fence)
        )
        guard case .answer(_, let cancel) = outcome else { throw Self.unknown(worker) }
        return try Response(
            message: HeartbeatAnswer(
                cancel: cancel.map { CancelOrder(attempt: $0.attempt, mode: .now) },
                heartbeatSeconds: timing.heartbeat.inSeconds
            )
        )
    }

    /// Answers with a task as soon as there is one, or with none when the wait is over.
    private func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> Response {
        let wait = min(.seconds(max(0, request.waitSeconds)), timing.longestWait)
        let deadline = ContinuousClock.now + wait
        while true {
            switch try await store.claimTasks(worker: worker, limit: 1) {
            case .unknownWorker: throw Self.unknown(worker)
            case .tasks(let tasks):
                if let task = tasks.first {
                    return try Response(message: ClaimAnswer(tasks: [assignment(task)]))
                }
            }
            guard ContinuousClock.now + timing.poll < deadline, !Task.isShuttingDownGracefully
            else {
                return try Response(message: ClaimAnswer(reason: .noTask))
            }
            try await Task.sleep(for: timing.poll)
        }
    }

    private func assignment(_ task: ClaimedTask) throws -> TaskAssignment {
        TaskAssignment(
            fence: task.fence,
            job: task.job,
            leaseSeconds: timing.lease.inSeconds,
            images: try task.images.map { image in
                ImageAssignment(
                    id: image.id,
                    index: image.index,
                    settings: try FarmJSON.decode(from: image.parameters)
                )
            }
        )
    }

    private static func unknown(_ worker: WorkerID) -> CoordinatorProblem {
        CoordinatorProblem(.notFound, "there is no worker \(worker); register again")
    }

    // MARK: - Attempts

    func addAttemptRoutes(to group: RouterGroup<Context>) {
        group.put("attempts/{attempt}/images/{index}") { request, context in
            try await deliver(request, context)
        }
        group.post("attempts/{attempt}/complete") { request, context in
            let message = try await request.message(AttemptRequest.self)
            let fence = try Self.check(message.fence, context)
            return try Self.answer(await store.completeAttempt(fence))
        }
        group.post("attempts/{attempt}/fail") { request, context in
            let message = try await request.message(FailureRequest.self)
            let fence = try Self.check(message.fence, context)
            let failure = AttemptFailure(
                failureClass: message.failureClass,
                message: String(message.message.prefix(4096))
            )
            return try Self.answer(await store.failAttempt(fence, failure: failure))
        }
        group.post("attempts/{attempt}/release") { request, context in
            let message = try await request.message(AttemptRequest.self)
            let fence = try Self.check(message.fence, context)
            return try Self.answer(await store.releaseAttempt(fence))
        }
    }

    /// Stores the picture durably, then marks its image delivered under the fence.
    private func deliver(_ request: Request, _ context: Context) async throws -> Response {
        let index = try context.part("index") { Int($0) }
        let query = request.uri.queryParameters
        guard let task = query.get("task").flatMap({ TaskID($0) }),
            let epoch = query.get("epoch").flatMap({ Int64($0) })
        else {
            throw CoordinatorProblem(.malformed, "the query lacks the task and epoch of the lease")
        }
        let fence = AttemptFence(
            task: task,
            attempt: try context.part("attempt") { AttemptID($0) },
            epoch: epoch
        )
        let stored = try await receive(request)
        let digest = stored.digest
        let outcome = try await store.deliverImage(
            fence,
            imageIndex: index,
            output: DeliveredOutput(digest: digest.rawValue, size: stored.size)
        )
        switch outcome {
        case .delivered:
            return try Response(
                message: DeliveryAnswer(digest: digest, wasDelivered: false),
                status: .created
            )
        case .alreadyDelivered:
            return try Response(message: DeliveryAnswer(digest: digest, wasDelivered: true))
        case .stale: throw Self.stale
        case .unknownImage:
            throw CoordinatorProblem(.notFound, "the task has no image \(index)")
        }
    }

    private static var stale: CoordinatorProblem {
        CoordinatorProblem(.stale, "the lease is over; drop the attempt")
    }

    private static func check(_ fence: AttemptFence, _ context: Context) throws -> AttemptFence {
        guard try context.part("attempt", { AttemptID($0) }) == fence.attempt else {
            throw CoordinatorProblem(.malformed, "the path names another attempt than the body")
        }
        return fence
    }

    private static func answer(_ outcome: AttemptOutcome) throws -> Response {
        switch outcome {
        case .done(let state): return try Response(message: AttemptAnswer(task: state))
        case .stale: throw stale
        case .incomplete(let undelivered):
            throw CoordinatorProblem(
                .conflict,
                "\(undelivered) images of the task are not delivered; deliver or release them"
            )
        }
    }
}
