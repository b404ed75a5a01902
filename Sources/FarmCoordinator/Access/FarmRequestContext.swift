import FarmModel
import Glibc
package import Hummingbird
import Logging
import NIOCore
import NIOSSL

/// What is known of a request besides its head and body.
package struct FarmRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The connection, for requests that wait and want to know when nobody waits with them.
    let channel: any Channel
    /// Who makes the request, by its token.
    var caller: Caller?
    /// The token that it shows.
    var token: String?

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// A part of the path, decoded, as a name, identifier or digest.
    func part<Value>(_ name: String, _ read: (String) -> Value?) throws -> Value {
        let written = parameters.get(name) ?? ""
        guard let text = URLText.decode(written), let value = read(text) else {
            throw CoordinatorProblem(.notFound, "nothing has the name '\(written)'")
        }
        return value
    }

    /// Refuses a connection whose client has shown no certificate; one that it shows was verified.
    func checkCertificate() async throws {
        let certificate = channel.eventLoop.submit {
            try? channel.pipeline.syncOperations.nioSSL_peerCertificate()
        }
        let found = try await certificate.get()
        // A session that is resumed is not verified anew.
        if let found, found.notValidAfter > time(nil) { return }
        throw CoordinatorProblem(
            .notAllowed,
            "workers show a certificate here; start them with --tls-certificate and --tls-key"
        )
    }

    /// Refuses a worker that shows its own key and names another worker in the path, as if there were
    /// no such worker.
    func checkWorker() throws {
        guard let own = caller?.ownWorker else { return }
        let named = try part("worker") { WorkerID($0) }
        guard named == own else { throw WorkerDirectory.unknown(named) }
    }

    /// The caller, whom the route has let in.
    func bearer() throws -> Caller {
        guard let caller else { throw CoordinatorProblem.unauthorized }
        return caller
    }

    /// The owner whose jobs the caller sees, or nil where it sees everyone's.
    func visibleOwner() throws -> String? {
        let caller = try bearer()
        return caller.seesEverything ? nil : caller.owner
    }
}
