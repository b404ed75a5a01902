import CLibPQ

/// The owner of libpq's connection: opens it, and ends it when it goes.
///
/// Sendable, for it is handed from the thread that opened it to the one that works on it; libpq allows
/// that as long as one uses it at a time, and only its `ServerHandle` uses it.
final class ServerSession: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Connects, blocking until the server has answered or the time for it is over.
    init(_ configuration: PostgresConfiguration) throws(DatabaseError) {
        guard configuration.isReadable else {
            // libpq's own message repeats the string, password and all.
            throw DatabaseError(
                sqlState: nil,
                message: """
                    cannot connect: the connection string cannot be read (expected \
                    postgresql://user@host:port/name or key=value pairs)
                    """
            )
        }
        let timeout = max(2, (configuration.connectTimeout.milliseconds + 999) / 1000)
        // Keys after `dbname` override the connection string, keys before it are its defaults.
        let parameters: [(String, String)] = [
            ("connect_timeout", String(timeout)),
            ("keepalives_idle", "30"),
            ("keepalives_interval", "10"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "30000"),
            ("fallback_application_name", configuration.applicationName),
            ("dbname", configuration.conninfo),
            ("client_encoding", "UTF8"),
        ]
        let opened = withCStrings(parameters.map(\.0)) { keys in
            withCStrings(parameters.map(\.1)) { values in
                PQconnectdbParams(keys + [nil], values + [nil], 1)
            }
        }
        guard let opened else {
            throw DatabaseError(sqlState: nil, message: "out of memory for a connection")
        }
        PQsetNoticeProcessor(opened, { _, _ in }, nil)
        guard PQstatus(opened) == CONNECTION_OK else {
            defer { PQfinish(opened) }
            throw Self.connectError(opened, configuration)
        }
        pointer = opened
    }

    deinit {
        PQfinish(pointer)
    }

    /// The error of an attempt to connect, with the server named.
    private static func connectError(
        _ connection: OpaquePointer,
        _ configuration: PostgresConfiguration
    ) -> DatabaseError {
        let reason = firstLine(PQerrorMessage(connection))
        let server = [
            PQdb(connection).map { "database \(String(cString: $0))" },
            PQhost(connection).map { "host \(String(cString: $0))" },
            PQport(connection).map { "port \(String(cString: $0))" },
        ].compactMap(\.self).joined(separator: ", ")
        return DatabaseError(
            sqlState: nil,
            message: "cannot connect (\(server)): \(reason)",
            isConnectionLoss: true,
            isTransient: isTransient(reason, configuration)
        )
    }

    /// Tells whether a later attempt may succeed: the server is away, starting or full.
    ///
    /// libpq keeps the SQLSTATE of a refused connection to itself.
    private static func isTransient(
        _ reason: String,
        _ configuration: PostgresConfiguration
    ) -> Bool {
        // Without it, the server has not answered at all.
        guard reason.contains("FATAL:") else { return true }
        let passing = [
            "starting up", "shutting down", "recovery", "not accepting", "not yet accepting",
            "too many clients", "too many connections", "connection slots", "administrator command",
        ]
        if passing.contains(where: reason.contains) { return true }
        // The message may be in another language; the server's state is not.
        return PQping(configuration.conninfo) != PQPING_OK
    }
}

/// Asks the server to cancel what a session runs; made once, used from any thread.
///
/// Sendable, for libpq allows any thread to use a `PGcancel`, which does not change.
final class CancelRequest: @unchecked Sendable {
    private let pointer: OpaquePointer?

    init(_ session: ServerSession) {
        pointer = PQgetCancel(session.pointer)
    }

    deinit {
        PQfreeCancel(pointer)
    }

    /// Sends the request, blocking until the server has taken it.
    func send() {
        // A request that fails is repeated by the caller; its message has no reader.
        var message = [CChar](repeating: 0, count: 256)
        PQcancel(pointer, &message, Int32(message.count))
    }
}

extension PostgresConfiguration {
    /// Whether libpq understands the connection string.
    fileprivate var isReadable: Bool {
        // What is neither libpq takes for a database's name, and names in its messages.
        guard conninfo.isEmpty || conninfo.contains("=") || conninfo.contains("://") else {
            return false
        }
        guard let options = PQconninfoParse(conninfo, nil) else { return false }
        PQconninfoFree(options)
        return true
    }
}

/// Tells whether a server of this connection string takes connections now.
func serverAcceptsConnections(_ conninfo: String) -> Bool {
    PQping(conninfo) == PQPING_OK
}

/// Returns the first line of libpq's text.
func firstLine(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "no reason given" }
    let lines = String(cString: text).split(separator: "\n")
    return lines.first.map(String.init) ?? "no reason given"
}

/// Calls the body with NUL-terminated copies of the strings that live as long as the call.
func withCStrings<R>(
    _ strings: [String?],
    _ body: ([UnsafePointer<CChar>?]) throws -> R
) rethrows -> R {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(strings.reduce(0) { $0 + ($1?.utf8.count ?? -1) + 1 })
    let offsets = strings.map { string -> Int? in
        guard var string else { return nil }
        defer {
            string.withUTF8 { bytes.append(contentsOf: $0) }
            bytes.append(0)
        }
        return bytes.count
    }
    return try bytes.withUnsafeBytes { buffer in
        let start = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
        return try body(offsets.map { offset in offset.flatMap { start?.advanced(by: $0) } })
    }
}
