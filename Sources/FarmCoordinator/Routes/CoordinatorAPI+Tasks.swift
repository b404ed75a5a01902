import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addTaskRoutes(to table: RouteTable) {
        table.on(.get, "/v1/tasks/{task}", for: .least(.viewer)) { _, context in
            let task = try await task(context)
            var view = TaskView(task, progress: task.lease.flatMap { live.step(of: $0.attempt) })
            view.waiting = try await why(task)
            return try Response(message: view)
        }
        table.on(
            .get,
            "/v1/tasks/{task}/attempts",
            query: PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, context in
            let page = try PageRequest(request)
            let task = try await task(context)
            let attempts = try await store.attempts(of: task.id)
            return try Response(
                message: page.page(ofAll: attempts, cursor: { $0.fence.attempt.description }) {
                    AttemptView($0, progress: live.step(of: $0.fence.attempt))
                }
            )
        }
        table.on(.get, "/v1/tasks/{task}/why", for: .least(.viewer)) { _, context in
            let task = try await task(context)
            guard let why = try await why(task) else {
                throw CoordinatorProblem(.wrongState, "the task is \(task.state) and does not wait")
            }
            return try Response(message: why)
        }
        table.on(.get, "/v1/tasks/{task}/log", query: PageRequest.queryKeys, for: .least(.viewer)) {
            request,
            context in
            let page = try PageRequest(request)
            let task = try await task(context)
            let offset = try page.cursor { UInt32($0).map { Int($0) } } ?? 0
            let lines = try await store.log(of: task.id, offset: offset, limit: page.limit + 1)
            let isMore = lines.count > page.limit
            return try Response(
                message: Page(
                    items: Array(lines.prefix(page.limit)),
                    next: isMore ? String(offset + page.limit) : nil
                )
            )
        }
    }

    /// Why a task waits, and where it was parked; nil where it does not wait.
    private func why(_ task: TaskRecord) async throws -> WhyView? {
        try await store.why(task: task.id, blobs: reserve.room()).map { WhyView($0, of: task) }
    }

    /// The task that the path names, if its job is one that the caller sees.
    private func task(_ context: Context) async throws -> TaskRecord {
        let id = try context.part("task") { TaskID($0) }
        guard let task = try await store.task(id), try await sees(task.job, context) else {
            throw CoordinatorProblem(.notFound, "there is no task \(id)")
        }
        return task
    }

    /// Whether the caller sees a job.
    func sees(_ job: JobID, _ context: Context) async throws -> Bool {
        guard let owner = try context.visibleOwner() else { return true }
        return try await jobs.job(job).owner == owner
    }
}

extension CoordinatorAPI {
    func addImageRoutes(to table: RouteTable) {
        table.on(.get, "/v1/images/{image}", for: .least(.viewer)) { _, context in
            let image = try await image(context)
            return try Response(message: ImageView(image, of: await jobs.job(image.job)))
        }
        table.on(.get, "/v1/images/{image}/content", query: ["fit"], for: .least(.viewer)) {
            request,
            context in
            let image = try await image(context)
            guard let output = image.output, let digest = BlobDigest(rawValue: output.digest) else {
                throw CoordinatorProblem(.notFound, "the image \(image.id) is \(image.state)")
            }
            if let side = try Self.side(request) {
                return try await thumbnail(of: digest, fitting: side, request)
            }
            return try await content(of: digest, type: "image/png", request)
        }
        table.on(.get, "/v1/images/{image}/draft", query: ["fit"], for: .least(.viewer)) {
            request,
            context in
            try await draft(of: image(context), request)
        }
        table.on(.get, "/v1/images/{image}/preview", for: .least(.viewer)) { _, context in
            let image = try await image(context)
            guard let preview = live.preview(of: image.job, index: image.index) else {
                throw CoordinatorProblem(.notFound, "the image \(image.id) has no preview now")
            }
            return Response(
                status: .ok,
                headers: [.contentType: preview.mediaType, .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: preview.data))
            )
        }
    }

    /// The image that the path names, if its job is one that the caller sees.
    private func image(_ context: Context) async throws -> ImageRecord {
        let id = try context.part("image") { ImageID($0) }
        guard let image = try await store.image(id), try await sees(image.job, context) else {
            throw CoordinatorProblem(.notFound, "there is no image \(id)")
        }
        return image
    }
}
