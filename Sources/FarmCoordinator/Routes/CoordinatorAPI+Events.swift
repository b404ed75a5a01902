import FarmModel
import FarmStore
import Hummingbird
import NIOCore
import Postgres

extension CoordinatorAPI {
    /// How long a stream is silent before a line keeps it open.
    private static let keepAlive: Duration = .seconds(15)
    /// How often a stream looks for events without a hint.
    private static let poll: Duration = .seconds(2)

    func addEventRoutes(to table: RouteTable) {
        table.on(.get, "/v1/jobs/{job}/events", query: ["after"], for: .least(.viewer)) {
            request,
            context in
            let job = try await job(context)
            let after = try Self.lastEvent(request)
            return events(of: job.id, after: after, context)
        }
    }

    /// The number of the event that a reader has seen last: from the header of a reader that comes
    /// back, else from the query; nil for a reader that wants all of them.
    private static func lastEvent(_ request: Request) throws -> Int64 {
        let text =
            request.headers[.lastEventID] ?? request.uri.queryParameters.get("after") ?? "0"
        guard let number = Int64(text), number >= 0 else {
            throw CoordinatorProblem(.malformed, "'\(text)' is no number of an event")
        }
        return number
    }

    /// Streams a job's events in the order of their commits, and between them steps without ids.
    private func events(of job: JobID, after: Int64, _ context: Context) -> Response {
        let body = ResponseBody { writer in
            // Said before the first look, so that nothing falls between look and wait.
            let changes = live.changes(of: job)
            let gone = await context.channel.disconnectHandler()
            let (signals, signal) = AsyncStream<Signal>.makeStream(
                bufferingPolicy: .bufferingNewest(2)
            )
            gone?.whenGone { signal.finish() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in changes { signal.yield(.change) }
                    signal.finish()
                }
                group.addTask {
                    while (try? await Task.sleep(for: Self.poll)) != nil { signal.yield(.tick) }
                }
                var reader = EventReader(job: job, after: after, api: self)
                try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
                var silent = ContinuousClock.now
                var signal = signals.makeAsyncIterator()
                repeat {
                    while let text = try await reader.arrivals() {
                        try await writer.write(ByteBuffer(string: text))
                        silent = .now
                    }
                    guard .now - silent >= Self.keepAlive else { continue }
                    try await writer.write(ByteBuffer(string: EventStream.keepAlive))
                    silent = .now
                } while await signal.next() != nil
                group.cancelAll()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-store",
                // A proxy that gathers the answer would hold the events back.
                .accelBuffering: "no",
            ],
            body: body
        )
    }

    private enum Signal {
        case change
        case tick
    }
}

/// Reads a job's events on from a number.
private struct EventReader {
    private static let batch = 500

    let job: JobID
    var after: Int64
    let api: CoordinatorAPI
    private var change: UInt64 = 0

    init(job: JobID, after: Int64, api: CoordinatorAPI) {
        self.job = job
        self.after = after
        self.api = api
    }

    /// The text of what is new, a batch of events at a time; nil where nothing is.
    ///
    /// A database that is away for a while has nothing new: the reader stays, and reads on from
    /// where it was when the database is back.
    mutating func arrivals() async throws -> String? {
        do {
            return try await next()
        } catch let error as DatabaseError where error.isUnavailable {
            return nil
        }
    }

    private mutating func next() async throws -> String? {
        let events = try await api.store.events(of: job, after: after, limit: Self.batch)
        var text = ""
        for event in events {
            text += EventStream.event(
                event.kind,
                data: try Self.json(event),
                id: event.number
            )
        }
        if let last = events.last { after = last.number }
        // Steps follow the events that are there, not those of a job's beginning.
        guard events.count < Self.batch else { return text }
        let steps = api.live.steps(of: job, since: change)
        change = steps.change
        for step in steps.steps {
            text += EventStream.event("step", data: try FarmJSON.text(step))
        }
        return text.isEmpty ? nil : text
    }

    /// The event as the API gives it; its data is JSON already.
    private static func json(_ event: EventRecord) throws -> String {
        let at = try FarmJSON.text(event.at)
        return """
            {"number":\(event.number),"kind":"\(event.kind)","at":\(at),"data":\(event.data)}
            """
    }
}
