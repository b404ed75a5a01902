/// Whether a link still works, and why not: the first reason counts, and closes all connections.
final class LinkHealth: Sendable {
    private struct State {
        var failure: LinkError?
        /// Tells the peers why this rank goes.
        var farewell: (@Sendable (LinkError) -> Void)?
    }

    private let mesh: GlooMesh
    private let state = Monitor(State())
    /// How long the watch may take to find out why a message failed.
    private static let verdictSeconds = 1.0

    init(mesh: GlooMesh) {
        self.mesh = mesh
    }

    var failure: LinkError? { state.read(\.failure) }

    /// Throws the failure, if there is one.
    func check() throws(LinkError) {
        if let failure {
            throw failure
        }
    }

    /// Has the peers told of a failure before the connections close.
    func onFailure(_ farewell: @escaping @Sendable (LinkError) -> Void) {
        state.change { $0.farewell = farewell }
    }

    /// Ends the link, unless it has ended for another reason.
    func fail(_ reason: LinkError) {
        let farewell: (@Sendable (LinkError) -> Void)?? = state.change { state in
            guard state.failure == nil else { return nil }
            state.failure = reason
            return .some(state.farewell)
        }
        guard let farewell else { return }
        farewell?(reason)
        mesh.abort()
    }

    /// Waits until the watch says why a message failed; the link has then ended.
    func verdict(on error: any Error) -> LinkError {
        let deadline = Clock.now + Self.verdictSeconds
        if let failure = state.wait(until: deadline, { $0.failure }) {
            return failure
        }
        fail(error as? LinkError ?? .system(reason: "a message failed: \(error)"))
        return failure ?? .closed
    }

    /// Runs what sends and receives; says why it failed.
    func explaining<Result>(_ body: () throws -> Result) throws(LinkError) -> Result {
        try check()
        do {
            return try body()
        } catch {
            throw verdict(on: error)
        }
    }
}
