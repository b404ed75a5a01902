extension PostgresPool {
    /// How long the server may say nothing before the lock's session is asked for a sign of life.
    private static let lifeInterval: Duration = .seconds(10)

    /// Calls the body while a session of its own holds an advisory lock; nil at once when another
    /// session holds it.
    ///
    /// For duties that one process at a time does, for as long as it lives. The connection is none
    /// of the pool's and is asked for a sign of life; when it is lost, so is the lock: the body's
    /// task is cancelled, and this throws the loss once the body has ended.
    ///
    /// - Parameters:
    ///   - key1: The first half of the lock's key.
    ///   - key2: The second half.
    ///   - body: What is done under the lock.
    /// - Returns: What the body returns; nil when the lock is held elsewhere.
    /// - Throws: `DatabaseError`, and what the body throws.
    package func withSessionLock<R: Sendable>(
        _ key1: Int,
        _ key2: Int,
        body: @escaping @Sendable () async throws -> R
    ) async throws -> R? {
        guard Int32(exactly: key1) != nil, Int32(exactly: key2) != nil else {
            preconditionFailure("A lock's key is two numbers of 32 bits")
        }
        let connection = try await PostgresConnection.connect(configuration)
        let rows = try await connection.query(
            "SELECT pg_try_advisory_lock(\(key1)::integer, \(key2)::integer) AS is_held"
        )
        guard try rows.first?.decode("is_held") == true else {
            await connection.close()
            return nil
        }
        let result = await withTaskGroup(of: Result<R, any Error>?.self) { group in
            group.addTask {
                do {
                    return .success(try await body())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do {
                    while true {
                        _ = try await connection.notifications(signOfLifeEvery: Self.lifeInterval)
                    }
                } catch is CancellationError {
                    return nil
                } catch {
                    return .failure(error)
                }
            }
            var first: Result<R, any Error>?
            while let next = await group.next() {
                // Who ends first decides, and ends the other.
                first = first ?? next
                group.cancelAll()
            }
            return first
        }
        // The lock goes with its session.
        await connection.close()
        return try result?.get()
    }
}
