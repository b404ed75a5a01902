import FoundationEssentials
import HTTPTransport
import Hummingbird
import HummingbirdTesting

/// A request's context that knows the caller's connection.
struct ConnectionContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The port of the caller's end, which no two live connections share.
    let callerPort: Int

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        callerPort = source.channel.remoteAddress?.port ?? 0
    }
}

/// Serves `router` on a port of its own and lends its address.
func serve(
    _ router: Router<ConnectionContext>,
    _ body: @escaping @Sendable (String) async throws -> Void
) async throws {
    try await Application(
        router: router,
        configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
    ).test(.live) { client in
        try await body("http://127.0.0.1:\(client.port ?? 0)")
    }
}

/// A file for one test, with `contents` if there are any.
func withTemporaryFile(
    _ contents: Data? = nil,
    _ body: (String) async throws -> Void
) async throws {
    let path = FileManager.default.temporaryDirectory.path + "/transport-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    if let contents { try contents.write(to: URL(filePath: path)) }
    try await body(path)
}
