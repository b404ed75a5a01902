extension PostgresPool {
    /// Calls the body while a session of its own holds an advisory lock; nil at once when another
    /// session holds it.
    ///
    /// For duties that one process at a time does, for as long as it lives. The connection is none
    /// of the pool's and gives signs of life, without which the server ends it; when it is lost, so
    /// is the lock: the body's task is cancelled, and this throws the loss once the body has ended.
    /// A process that stood still is not told at once: what only the holder may do begins with
    /// `confirm` of the lock.
    ///
    /// - Parameters:
    ///   - key1: The first half of the lock's key.
    ///   - key2: The second half.
    ///   - silence: How long the server waits for a sign of life.
    ///   - body: What is done under the lock.
    /// - Returns: What the body returns; nil when the lock is held elsewhere.
    /// - Throws: `DatabaseError`, `SessionLockError`, and what the body throws.
    package func withSessionLock<R: Sendable>(
        _ key1: Int,
        _ key2: Int,
        silence: Duration = .seconds(30),
        body: @escaping @Sendable (SessionLock) async throws -> R
    ) async throws -> R? {
        guard Int32(exactly: key1) != nil, Int32(exactly: key2) != nil else {
            preconditionFailure("A lock's key is two numbers of 32 bits")
        }
        let connection = try await PostgresConnection.connect(configuration)
        let lock = SessionLock(connection, silence: silence)
        guard try await lock.take(key1, key2) else {
            await connection.close()
            return nil
        }
        let result = await withTaskGroup(of: Result<R, any Error>?.self) { group in
            group.addTask {
                do {
                    return .success(try await body(lock))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do {
                    try await lock.keep()
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
        // The lock goes with its session, which the server ends in its own time: given back first, it is
        // free when this returns.
        await lock.release()
        await connection.close()
        return try result?.get()
    }
}
