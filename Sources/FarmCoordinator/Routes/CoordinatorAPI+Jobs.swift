import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Hummingbird
import NIOCore

extension CoordinatorAPI {
    func addJobRoutes(to table: RouteTable) {
        table.on(
            .get,
            "/v1/jobs",
            query: ["state", "owner", "name", "search"] + PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, context in
            try await jobs(request, context)
        }
        table.on(.get, "/v1/jobs/{job}", for: .least(.viewer)) { _, context in
            let record = try await job(context)
            var view = JobView(record)
            if !record.state.isFinal {
                view.waiting = try await why(record.id)
                if let end = try await store.forecast(record, in: queue.value()) {
                    view.etaSeconds = end.seconds
                    view.etaEarliestSeconds = end.earliest
                    view.etaLatestSeconds = end.latest
                }
            }
            return try Response(message: view)
        }
        table.on(
            .get,
            "/v1/jobs/{job}/images",
            query: ["state", "index"] + PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, context in
            try await images(request, context)
        }
        table.on(.get, "/v1/jobs/{job}/axes", for: .least(.viewer)) { _, context in
            let job = jobs.job(of: try await job(context))
            guard let resolved = job.resolved else {
                throw CoordinatorProblem(
                    .wrongState,
                    "this release cannot read the job's specification; read it with the one that took it"
                )
            }
            return try Response(message: JobAxesView(resolved))
        }
        table.on(.get, "/v1/jobs/{job}/states", for: .least(.viewer)) { _, context in
            let job = try await job(context)
            // The number is older than the states: events after it repeat what they have, and miss nothing.
            return try Response(
                message: ImageStatesView(
                    states: await store.imageStates(of: job.id),
                    eventNumber: job.eventCount
                )
            )
        }
        table.on(
            .get,
            "/v1/jobs/{job}/tasks",
            query: ["state"] + PageRequest.queryKeys,
            for: .least(.viewer)
        ) { request, context in
            try await tasks(request, context)
        }
        table.on(.get, "/v1/jobs/{job}/why", for: .least(.viewer)) { _, context in
            try Response(message: Page(items: await why(job(context).id)))
        }
        table.on(.get, "/v1/jobs/{job}/archive", for: .least(.viewer)) { _, context in
            try await archive(of: job(context))
        }
    }

    /// The job that the path names by its id, or by its key meaning the caller's own.
    ///
    /// Someone else's job is answered like one that is not there.
    func job(_ context: Context) async throws -> JobRecord {
        let name = try context.part("job") { $0 }
        let caller = try context.bearer()
        let job =
            if let id = JobID(name) {
                try await store.job(id)
            } else {
                try await store.job(key: name, owner: caller.owner)
            }
        guard let job, caller.seesEverything || job.owner == caller.owner else {
            throw CoordinatorProblem(.notFound, "there is no job '\(name)'")
        }
        return job
    }

    /// Why a job's tasks wait.
    private func why(_ job: JobID) async throws -> [WhyView] {
        try await store.why(job: job, blobs: reserve.room())?
            .map { WhyView($0.cause, tasks: $0.tasks) } ?? []
    }

    // MARK: - Lists

    private func jobs(_ request: Request, _ context: Context) async throws -> Response {
        let page = try PageRequest(request)
        let query = request.uri.queryParameters
        var state: JobState?
        if let text = query.get("state") {
            guard let known = JobState(rawValue: text) else {
                let states = JobState.allCases.map(\.rawValue).joined(separator: ", ")
                throw CoordinatorProblem(
                    .malformed,
                    "'state' in the query is one of \(states), not '\(text)'"
                )
            }
            state = known
        }
        let visible = try context.visibleOwner()
        let asked = query.get("owner")
        if let visible, let asked, asked != visible {
            return try Response(message: Page<JobView>(items: []))
        }
        let rows = try await store.jobs(
            owner: visible ?? asked,
            state: state,
            name: query.get("name"),
            search: query.get("search"),
            before: page.cursor { JobID($0) },
            limit: page.limit + 1
        )
        return try Response(
            message: page.page(rows, cursor: { $0.id.description }) { JobView($0) }
        )
    }

    private func images(_ request: Request, _ context: Context) async throws -> Response {
        let page = try PageRequest(request)
        let record = try await job(context)
        let cached = jobs.job(of: record)
        var state: ImageState?
        if let text = request.uri.queryParameters.get("state") {
            guard let known = ImageState(rawValue: text) else {
                throw CoordinatorProblem(.malformed, "'\(text)' is no state of an image")
            }
            state = known
        }
        let rows = try await store.images(
            of: record.id,
            state: state,
            indices: Self.indices(request),
            afterIndex: page.cursor { Int32($0).map { Int($0) } },
            limit: page.limit + 1
        )
        return try Response(
            message: page.page(rows, cursor: { String($0.index) }) { ImageView($0, of: cached) }
        )
    }

    /// The indices that a query asks for, as `index=3,1,4`; nil where it asks for none.
    private static func indices(_ request: Request) throws -> [Int]? {
        guard let text = request.uri.queryParameters.get("index") else { return nil }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let indices = parts.compactMap { UInt32($0).flatMap { Int32(exactly: $0) }.map { Int($0) } }
        guard indices.count == parts.count, indices.count <= PageRequest.largestSize else {
            throw CoordinatorProblem(
                .malformed,
                "'index' in the query is at most \(PageRequest.largestSize) indices as 3,1,4"
            )
        }
        return indices
    }

    private func tasks(_ request: Request, _ context: Context) async throws -> Response {
        let page = try PageRequest(request)
        let record = try await job(context)
        var state: TaskState?
        if let text = request.uri.queryParameters.get("state") {
            guard let known = TaskState(rawValue: text) else {
                throw CoordinatorProblem(.malformed, "'\(text)' is no state of a task")
            }
            state = known
        }
        let rows = try await store.tasks(
            of: record.id,
            state: state,
            afterNumber: page.cursor { Int32($0).map { Int($0) } },
            limit: page.limit + 1
        )
        let waiting = rows.filter { $0.lease == nil && !$0.state.isFinal }.map(\.id)
        let causes = try await store.why(tasks: waiting, blobs: reserve.room())
        return try Response(
            message: page.page(rows, cursor: { String($0.number) }) { task in
                var view = TaskView(
                    task,
                    progress: task.lease.flatMap { live.step(of: $0.attempt) }
                )
                view.waiting = causes[task.id].map { WhyView($0, of: task) }
                return view
            }
        )
    }

    // MARK: - Archive

    /// Streams the delivered pictures as a zip file, one picture in memory at a time.
    private func archive(of record: JobRecord) async throws -> Response {
        let cached = jobs.job(of: record)
        let body = ResponseBody { writer in
            var archive = ZipArchive()
            var after: Int?
            while true {
                let images = try await store.images(
                    of: record.id,
                    state: .delivered,
                    afterIndex: after,
                    limit: 500
                )
                for image in images {
                    guard let output = image.output,
                        let digest = BlobDigest(rawValue: output.digest)
                    else { continue }
                    let data = try await blobs.read(digest, limit: Self.largestPicture)
                    let day = Int(output.deliveredAt.timeIntervalSince1970 / 86400)
                    let name = cached.name(at: image.index)
                    let header = archive.header(of: name, data, day: day)
                    try await writer.write(ByteBuffer(bytes: header))
                    try await writer.write(ByteBuffer(bytes: data))
                }
                guard let last = images.last else { break }
                after = last.index
            }
            try await writer.write(ByteBuffer(bytes: archive.ending()))
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/zip",
                .contentDisposition: "attachment; filename=\"\(Self.fileName(record)).zip\"",
            ],
            body: body
        )
    }

    /// A job's name as a file's name, which needs no quoting anywhere.
    private static func fileName(_ job: JobRecord) -> String {
        let name = job.name.unicodeScalars.map { scalar in
            let isPlain =
                scalar.isASCII && scalar.properties.isAlphabetic
                || ("0"..."9").contains(scalar) || "-_.".unicodeScalars.contains(scalar)
            return isPlain ? Character(scalar) : "-"
        }
        return name.isEmpty ? job.id.description : String(name)
    }
}
