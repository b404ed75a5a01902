package import Postgres
import Synchronization
package import Testing

/// Gives every test of a suite an empty schema of its own, on the search path of its connections.
package struct DatabaseTrait: SuiteTrait, TestTrait, TestScoping {
    /// The suite's tests get a schema each, so that they can run side by side.
    package var isRecursive: Bool { true }

    @concurrent
    package func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        await TestDatabase.turnstile.enter()
        let result: Result<Void, any Error>
        do {
            try await provideSchema(performing: function)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await TestDatabase.turnstile.leave()
        try result.get()
    }

    @concurrent
    private func provideSchema(
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        var configuration = try await TestCluster.shared.connection()
        let schema = TestDatabase.nextSchema()
        let owner = PostgresPool(configuration)
        try await owner.execute("CREATE SCHEMA \(raw: schema)")
        configuration.searchPath = schema
        let pool = PostgresPool(configuration)
        let database = TestDatabase.Current(configuration: configuration, pool: pool)
        let result: Result<Void, any Error>
        do {
            try await TestDatabase.$current.withValue(database) { try await function() }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await pool.close()
        try await owner.execute("DROP SCHEMA \(raw: schema) CASCADE")
        await owner.close()
        try result.get()
    }
}

extension Trait where Self == DatabaseTrait {
    /// An empty schema of a real PostgreSQL for each test.
    package static var database: Self { Self() }
}

/// The database of the running test.
package enum TestDatabase {
    struct Current: Sendable {
        let configuration: PostgresConfiguration
        let pool: PostgresPool
    }

    /// What a test without the trait gets.
    struct TraitMissing: Error, CustomStringConvertible {
        let description = "this test asks for a database and its suite lacks the trait .database"
    }

    @TaskLocal static var current: Current?

    /// So few tests at once that their pools together stay below the server's 100 connections.
    ///
    /// A test's wait for its place counts against its time limit, which has to allow for the others.
    static let turnstile = Turnstile(places: 6)

    private static let schemas = Atomic<Int>(0)

    static func nextSchema() -> String {
        "test_\(schemas.add(1, ordering: .relaxed).newValue)"
    }

    /// A pool on the test's schema.
    package static func pool() throws -> PostgresPool {
        guard let current else { throw TraitMissing() }
        return current.pool
    }

    /// The connection settings of the test's schema, for pools of its own.
    package static func configuration() throws -> PostgresConfiguration {
        guard let current else { throw TraitMissing() }
        return current.configuration
    }
}
