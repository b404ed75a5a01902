package import FarmClient
package import FarmModel
package import FoundationEssentials
import Glibc
import Synchronization

/// The key of a worker's own, kept in its data folder from before the farm is told of it.
///
/// The worker chooses its keys and tells their hashes alone. What is to be told is on disk first, so
/// that neither an answer that is lost nor a crash at any moment leaves the worker without a key that
/// counts: of the two that it may have around a renewal, it tries the one and then the other. Keys that it
/// had before are tried last: a farm that was restored from a backup knows one of them alone.
package final class WorkerCredential: Sendable {
    /// What a worker shows when it registers.
    package enum Right: Hashable, Sendable {
        /// Its own key.
        case own
        /// A token by which workers join, with the hash of the key that it will show.
        case join(BlobDigest)
    }

    /// What is on disk.
    private struct Kept: Codable {
        /// The key that counts.
        var key: String?
        /// The next one, which may have been told.
        var next: String?
        /// The one to join with, which may have been told.
        var joining: String?
        /// When the next one is to be told.
        var renewAt: Date?
        /// Those that counted before, the latest first.
        var former: [String]?
    }

    /// How many keys that counted before are kept: those of four days where a key is renewed every eight
    /// hours.
    private static let mostFormer = 12

    private struct State {
        var kept: Kept
        /// Whether the coordinator has refused the key that is kept, and those before it.
        var isRefused = false
        /// Those of the former keys that are still to be tried; nil where none was.
        var untried: [String]?
    }

    private let bearer: BearerToken
    private let path: String
    /// The token by which workers join; nil where there is none.
    private let token: String?
    private let clock: @Sendable () -> Date
    private let state: Mutex<State>

    /// The credential of an instance, as the data folder has it.
    ///
    /// - Parameters:
    ///   - instance: Whose it is; one process has it at a time.
    ///   - dataFolder: The worker's data folder.
    ///   - token: The token by which workers join; nil for who joined before.
    ///   - bearer: What the worker's client shows.
    ///   - clock: Tells the time.
    /// - Throws: ``WorkerCredentialError`` where the file is there and cannot be read.
    package init(
        of instance: WorkerInstance,
        in dataFolder: String,
        token: String?,
        bearer: BearerToken,
        clock: @escaping @Sendable () -> Date = { Date() }
    ) throws(WorkerCredentialError) {
        path = Self.path(of: instance, in: dataFolder)
        self.token = token
        self.bearer = bearer
        self.clock = clock
        state = Mutex(State(kept: try Self.read(path) ?? Kept()))
    }

    /// Whether the data folder has the credential of an instance.
    package static func isKept(of instance: WorkerInstance, in dataFolder: String) -> Bool {
        access(path(of: instance, in: dataFolder), F_OK) == 0
    }

    private static func path(of instance: WorkerInstance, in dataFolder: String) -> String {
        "\(dataFolder)/credentials/\(instance.id)"
    }

    // MARK: - Registering

    /// Has the client show what the worker is to register by.
    ///
    /// - Returns: By what right it does.
    /// - Throws: ``WorkerCredentialError`` where it has neither key nor token, or the key that it is to
    ///   join with cannot be kept.
    package func present() throws(WorkerCredentialError) -> Right {
        try change { state throws(WorkerCredentialError) in
            if let key = state.kept.key, !state.isRefused {
                bearer.show(key)
                return .own
            }
            guard let token else {
                throw WorkerCredentialError(
                    path: path,
                    reason: "the worker's key is over or revoked"
                )
            }
            let key = state.kept.joining ?? WorkerKey.random()
            if state.kept.joining == nil {
                var kept = state.kept
                kept.joining = key
                try keep(kept)
                // Only what is on disk is told, now and at the next call.
                state.kept = kept
            }
            bearer.show(token)
            return .join(BlobDigest(ofText: key))
        }
    }

    /// Calls `body` with the client showing what the worker has, and again with what else it has where
    /// that does not count.
    ///
    /// - Parameters:
    ///   - credential: What it has; nil where the client shows a token anyway.
    ///   - body: Calls the coordinator, and is told what is shown.
    /// - Returns: What `body` returns.
    /// - Throws: ``WorkerCredentialError`` where nothing is left to show, else what `body` throws.
    package static func presenting<Answer: Sendable>(
        _ credential: WorkerCredential?,
        _ body: (Right?) async throws -> Answer
    ) async throws -> Answer {
        while true {
            let right = try credential?.present()
            do {
                return try await body(right)
            } catch let error as FarmClientError where error.isUnauthorized {
                guard let right, let credential else { throw error }
                try credential.refused(right)
            }
        }
    }

    /// Notes that what was shown does not count.
    ///
    /// - Parameter right: What was shown.
    /// - Throws: ``WorkerCredentialError`` where that was a token to join by; without its own key and
    ///   such a token ``present()`` throws.
    package func refused(_ right: Right) throws(WorkerCredentialError) {
        guard right == .own else {
            throw WorkerCredentialError(
                path: path,
                reason: "the token to join by is over, revoked or unknown"
            )
        }
        state.withLock { state in
            if let next = state.kept.next {
                // A renewal of which the answer was lost.
                state.kept.key = next
                state.kept.next = nil
                return
            }
            var untried = state.untried ?? state.kept.former ?? []
            guard !untried.isEmpty else { return state.isRefused = true }
            state.kept.key = untried.removeFirst()
            state.untried = untried
        }
    }

    /// Shows the key that the worker has joined with.
    package func joined(_ terms: CredentialTerms) throws(WorkerCredentialError) {
        try change { state throws(WorkerCredentialError) in
            guard let key = state.kept.joining else { return }
            try take(key, terms, after: [], &state)
        }
    }

    // MARK: - Renewing

    /// Whether the next key is to be told.
    package var isDue: Bool {
        state.withLock { state in
            guard state.kept.key != nil, !state.isRefused else { return false }
            return state.kept.renewAt.map { $0 <= clock() } ?? true
        }
    }

    /// The hash of the next key, which is on disk from now on.
    package func next() throws(WorkerCredentialError) -> BlobDigest {
        try change { state throws(WorkerCredentialError) in
            let key = state.kept.next ?? WorkerKey.random()
            if state.kept.next == nil {
                var kept = state.kept
                kept.next = key
                try keep(kept)
                // Only what is on disk is told, now and at the next call.
                state.kept = kept
            }
            return BlobDigest(ofText: key)
        }
    }

    /// Shows the next key, which the coordinator knows.
    package func renewed(_ terms: CredentialTerms) throws(WorkerCredentialError) {
        try change { state throws(WorkerCredentialError) in
            guard let key = state.kept.next else { return }
            let former = [state.kept.key].compactMap(\.self) + (state.kept.former ?? [])
            try take(key, terms, after: former, &state)
        }
    }

    private func take(
        _ key: String,
        _ terms: CredentialTerms,
        after former: [String],
        _ state: inout State
    ) throws(WorkerCredentialError) {
        state.isRefused = false
        state.untried = nil
        state.kept = Kept(
            key: key,
            renewAt: clock().addingTimeInterval(max(terms.lifetimeSeconds, 0) / 3),
            former: Array(former.prefix(Self.mostFormer))
        )
        bearer.show(key)
        try keep(state.kept)
    }

    // MARK: - The file

    private func change<Value: Sendable>(
        _ body: (inout State) throws(WorkerCredentialError) -> Value
    ) throws(WorkerCredentialError) -> Value {
        try state.withLock { state throws(WorkerCredentialError) in try body(&state) }
    }

    private static func read(_ path: String) throws(WorkerCredentialError) -> Kept? {
        guard access(path, F_OK) == 0 else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw WorkerCredentialError(path: path, reason: "the worker's key cannot be read")
        }
        guard let kept = try? FarmJSON.decode(Kept.self, from: data) else {
            throw WorkerCredentialError(path: path, reason: "it holds no worker's key; remove it")
        }
        return kept
    }

    /// Writes the file whole, with mode 0600, and waits until it is on disk.
    private func keep(_ kept: Kept) throws(WorkerCredentialError) {
        guard let bytes = try? Array(FarmJSON.encode(kept)) else {
            throw WorkerCredentialError(path: path, reason: "the worker's key cannot be written")
        }
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
        try? FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let aside = path + ".new"
        unlink(aside)
        let file = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw WorkerCredentialError(path: path, code: errno) }
        defer { close(file) }
        guard write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0,
            rename(aside, path) == 0
        else { throw WorkerCredentialError(path: path, code: errno) }
        let holder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard holder >= 0 else { throw WorkerCredentialError(path: path, code: errno) }
        defer { close(holder) }
        guard fsync(holder) == 0 else { throw WorkerCredentialError(path: path, code: errno) }
    }
}

/// Why a worker has no key to show.
package struct WorkerCredentialError: Error, Equatable, CustomStringConvertible {
    package let path: String
    package let reason: String

    init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    init(path: String, code: Int32) {
        self.init(path: path, reason: String(cString: strerror(code)))
    }

    package var description: String {
        "\(path): \(reason); an admin makes a token to join by: "
            + "dreamfarm tokens create --role worker --join once"
    }
}
