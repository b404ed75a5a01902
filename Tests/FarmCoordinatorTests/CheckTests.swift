import FarmModel
import FarmStore
import FoundationEssentials
import Logging
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

/// What `dreamfarm-coordinator check` says, and that it only looks.
@Suite(.timeLimit(.minutes(2)))
struct CheckTests {
    private static func coordinator(_ folder: String) throws -> Coordinator {
        let configuration = CoordinatorConfiguration(
            dataDirectory: folder,
            listen: try #require(ListenAddress("127.0.0.1:0")),
            databaseURL: nil,
            timing: LeaseTiming(),
            allowsInsecureListen: false
        )
        return Coordinator(configuration, logger: Logger(label: "test"))
    }

    @Test("a data folder without a database is left without one")
    func none() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/check-\(UUID().uuidString)"
        let text = try await Self.coordinator(folder).check()
        #expect(text == "database: none yet; `serve` makes one in \(folder)/postgres")
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("steps that the schema lacks are named and not applied")
    func missing() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/check-\(UUID().uuidString)"
        let coordinator = try Self.coordinator(folder)
        try await withCluster { cluster in
            let pool = PostgresPool(cluster.connection)
            let store = FarmStore(pool: pool)
            let empty = try await coordinator.describe(store)
            #expect(empty.contains("lacks of the schema: 0001_farm, 0002_queue"))
            #expect(try await store.isEmpty())
            _ = try await store.migrate()
            try await pool.execute("DELETE FROM migration WHERE number = 16")
            let behind = try await coordinator.describe(store)
            #expect(behind.hasPrefix("database: answers, and lacks of the schema: 0016_"))
            #expect(try await store.missingMigrations().count == 1)
            try await pool.execute(
                "INSERT INTO migration (number, name) VALUES (16, '0016')"
            )
            #expect(
                try await coordinator.describe(store) == """
                    database: answers, up to date
                    blobs: \(folder)/blobs, not in use yet
                    models: none
                    """
            )
            #expect(!FileManager.default.fileExists(atPath: folder))
            await pool.close()
        }
    }
}
