package import BlobStore
import FarmModel
package import FarmStore
import FoundationEssentials
package import Hummingbird
import NIOCore

/// The coordinator's HTTP API over a store of rows and a store of blobs.
package struct CoordinatorAPI: Sendable {
    package typealias Context = BasicRequestContext

    let store: FarmStore
    let blobs: any BlobStorage
    let timing: LeaseTiming

    package init(store: FarmStore, blobs: any BlobStorage, timing: LeaseTiming) {
        self.store = store
        self.blobs = blobs
        self.timing = timing
    }

    /// A router of every route, closed to requests that `policy` does not let in.
    package func router(policy: AccessPolicy) -> Router<Context> {
        let router = Router(context: Context.self)
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: AccessMiddleware(policy: policy))
        addHealthRoutes(to: router)
        let version1 = router.group("v1")
        addBlobRoutes(to: version1)
        addJobRoutes(to: version1)
        addWorkerRoutes(to: version1)
        addAttemptRoutes(to: version1)
        return router
    }

    private func addHealthRoutes(to router: Router<Context>) {
        router.get("healthz") { _, _ in Response(status: .ok) }
        router.get("readyz") { _, _ in
            do {
                _ = try await store.models()
                return Response(status: .ok)
            } catch {
                throw CoordinatorProblem(.unavailable, "the database does not answer")
            }
        }
    }
}

/// How long leases last and how often workers are heard of.
package struct LeaseTiming: Sendable {
    package var lease: Duration
    package var heartbeat: Duration
    /// The longest time for which a claim is held back.
    package var longestWait: Duration
    /// How often a claim that is held back looks for a task.
    package var poll: Duration

    /// How often lapsed leases are looked for.
    package var expiryInterval: Duration { lease / 6 }

    /// From which time on without a look the farm counts as having been away.
    ///
    /// A lease lives on for at least a lease less two heartbeats after the farm went away: shorter
    /// than that, so that no lease of a worker that lives lapses because nobody heard it.
    package var expiryGap: Duration {
        max(expiryInterval * 2, min(lease / 3, lease - heartbeat * 2))
    }

    package init(
        lease: Duration = .seconds(60),
        heartbeat: Duration = .seconds(15),
        longestWait: Duration = .seconds(20),
        poll: Duration = .milliseconds(250)
    ) {
        self.lease = lease
        self.heartbeat = heartbeat
        self.longestWait = longestWait
        self.poll = poll
    }
}

extension Request {
    /// The body as a message, at most `limit` bytes long.
    func message<Message: Decodable>(
        _ type: Message.Type = Message.self,
        limit: Int = 1 << 20
    ) async throws -> Message {
        let data = try await bodyData(limit: limit)
        do {
            return try FarmJSON.decode(type, from: data)
        } catch {
            throw CoordinatorProblem(.malformed, "the body is not the message of this route")
        }
    }

    /// The body's bytes, at most `limit` of them.
    func bodyData(limit: Int) async throws -> Data {
        let buffer: ByteBuffer
        do {
            buffer = try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw CoordinatorProblem(.tooLarge, "the body is longer than \(limit) bytes")
        }
        return Data(buffer.readableBytesView)
    }
}

extension BasicRequestContext {
    /// A part of the path as an identifier or digest.
    func part<Value>(_ name: String, _ read: (String) -> Value?) throws -> Value {
        guard let text = parameters.get(name), let value = read(text) else {
            throw CoordinatorProblem(
                .notFound,
                "nothing has the name '\(parameters.get(name) ?? "")'"
            )
        }
        return value
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
