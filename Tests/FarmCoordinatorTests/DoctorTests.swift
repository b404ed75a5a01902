import BlobStore
import FarmModel
import FarmStore
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

/// Each fault is planted, found by its name with what to do, and gone when it is mended.
@Suite(.database, .timeLimit(.minutes(10))) struct DoctorTests {
    /// What the farm's doctor finds, a line each.
    private func findings(_ farm: TestFarm) async throws -> [String] {
        let view: DoctorView = try await farm.call(.get, "/v1/doctor")
        #expect(view.findings.allSatisfy { !$0.remedy.isEmpty && !$0.message.isEmpty })
        return view.findings.map { "\($0.check): \($0.message)" }
    }

    /// Expects one finding, of a check, which names what it is about.
    private func expectOne(
        _ check: String,
        _ words: String...,
        in farm: TestFarm,
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        let found = try await findings(farm)
        let isIt =
            found.count == 1 && found[0].hasPrefix("\(check): ")
            && words.allSatisfy { found[0].contains($0) }
        #expect(isIt, "found: \(found)", sourceLocation: location)
    }

    private func beat(
        _ worker: RegistrationAnswer,
        _ farm: TestFarm,
        clock offset: TimeInterval = 0
    ) async throws {
        var beat = HeartbeatRequest(epoch: worker.epoch)
        beat.sentAt = Date(timeIntervalSinceNow: offset)
        let _: HeartbeatAnswer = try await farm.call(
            .post,
            "/v1/workers/\(worker.id)/heartbeat",
            beat
        )
    }

    @Test("nothing is found on a healthy farm, and only operators may ask")
    func healthy() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            _ = try await farm.register("second")
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-3}")
            try await beat(worker, farm)
            #expect(try await findings(farm) == [])
            let viewer = try await farm.token("alice", .submitter)
            #expect(try await farm.problem(.get, "/v1/doctor", token: viewer) == .notAllowed)
        }
    }

    @Test("a worker's wrong clock is found, an old release, and one that is slow")
    func workers() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            try await beat(worker, farm, clock: -300)
            try await expectOne("clocks", "worker w", "5 min behind", in: farm)
            try await beat(worker, farm, clock: 1)
            #expect(try await findings(farm) == [])

            let old = try await farm.register("old") { $0.engine = "dreamfarm-worker 0.1.9" }
            try await expectOne("versions", "worker old", "0.1.9", in: farm)
            #expect(try await farm.send(.delete, "/v1/workers/\(old.id)").status == .noContent)

            let slow = try await farm.register("slow") { $0.speed = 0.5e12 }
            try await expectOne("workers", "worker slow", "50 %", in: farm)
            #expect(try await farm.send(.delete, "/v1/workers/\(slow.id)").status == .noContent)
            #expect(try await findings(farm) == [])
        }
    }

    @Test("a model that no job names is found once jobs name others")
    func models() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let stray = try await farm.register("stray") {
                $0.model.digest = "another-digest"
                $0.model.name = "tiny-2"
            }
            #expect(try await findings(farm) == [])
            _ = try await farm.submit("model: tiny\nparameters: {prompt: a, seed: 1}")
            try await expectOne("models", "stray", "another-dige", in: farm)
            #expect(try await farm.send(.delete, "/v1/workers/\(stray.id)").status == .noContent)
            #expect(try await findings(farm) == [])
        }
    }

    @Test("a step of the schema that is missing, and one of a newer release")
    func schema() async throws {
        let pool = try TestDatabase.pool()
        try await TestFarm.withAPI(pool: pool) { farm in
            let name = try await pool.query(
                "DELETE FROM migration WHERE number = 16 RETURNING name"
            ).first?.decode("name", as: String.self)
            try await expectOne("database", name ?? "no such step", in: farm)
            try await pool.execute(
                "INSERT INTO migration (number, name) VALUES (16, \(name)), (9999, 'of tomorrow')"
            )
            try await expectOne("versions", "of tomorrow", in: farm)
        }
    }

    @Test("a lock that another program holds, and dead rows")
    func database() async throws {
        let pool = try TestDatabase.pool()
        try await TestFarm.withAPI(pool: pool) { farm in
            try await pool.withConnection { connection in
                try await connection.execute(
                    """
                    SELECT set_config('application_name', 'psql', false),
                        pg_advisory_lock(\(Duty.expiry.rawValue), hashtext(current_schema()))
                    """
                )
                try await expectOne("database", "psql", "expiry", in: farm)
                try await connection.execute(
                    """
                    SELECT pg_advisory_unlock_all(), set_config('application_name', 'dreamfarm', false)
                    """
                )
            }
            #expect(try await findings(farm) == [])
            // A coordinator's session is none of another program, whatever its connection string calls it.
            let ours = try await farm.store.withDuty(.expiry) { _ in
                try await pool.query(
                    """
                    SELECT badge.objid FROM pg_locks AS badge JOIN pg_locks AS held USING (pid, objid)
                    WHERE badge.classid::bigint = \(SessionLock.badge)
                        AND held.classid::bigint = \(Duty.expiry.rawValue)
                        AND badge.objid::bigint = hashtext(current_schema())::bigint & 4294967295
                    """
                ).count
            }
            #expect(ours == 1)
            try await pool.withConnection { connection in
                try await connection.execute(
                    """
                    SELECT set_config('application_name', 'coordinator-a', false),
                        pg_advisory_lock(\(Duty.expiry.rawValue), hashtext(current_schema())),
                        pg_advisory_lock_shared(\(SessionLock.badge), hashtext(current_schema()))
                    """
                )
                #expect(try await findings(farm) == [])
                try await connection.execute(
                    """
                    SELECT pg_advisory_unlock_all(), set_config('application_name', 'dreamfarm', false)
                    """
                )
            }
            // The server counts them when the transaction is over, after a moment.
            try await pool.execute("ALTER TABLE ready SET (autovacuum_enabled = false)")
            try await pool.withTransaction { connection in
                try await connection.execute("SET LOCAL session_replication_role = replica")
                try await connection.execute(
                    """
                    INSERT INTO resting (task_id, head_id, until)
                    SELECT gen_random_uuid(), 1, now() FROM generate_series(1, 30000)
                    """
                )
            }
            try await pool.execute("ALTER TABLE resting SET (autovacuum_enabled = false)")
            try await pool.execute("DELETE FROM resting")
            while try await findings(farm).isEmpty { try await Task.sleep(for: .milliseconds(100)) }
            try await expectOne("database", "resting", "30000 dead rows", in: farm)
            try await pool.execute("VACUUM resting")
            while try await !findings(farm).isEmpty {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    @Test("a blob store that is full, one that is away, and a certificate that ends soon")
    func storage() async throws {
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 0.999
        try await TestFarm.withAPI(settings: settings) { farm in
            try await expectOne("storage", "nothing is claimed", in: farm)
        }
        settings.blobReserve = 0
        settings.certificateExpiry = { Date(timeIntervalSinceNow: 86_400 * 3.5) }
        try await TestFarm.withAPI(settings: settings) { farm in
            try await expectOne("certificate", "in 3 days", in: farm)
        }
        settings.certificateExpiry = { Date(timeIntervalSinceNow: -5) }
        try await TestFarm.withAPI(settings: settings) { farm in
            try await expectOne("certificate", "has expired", in: farm)
        }
        settings.certificateExpiry = { Date(timeIntervalSinceNow: 86_400 * 90) }
        try await TestFarm.withAPI(settings: settings) { farm in
            #expect(try await findings(farm) == [])
            try FileManager.default.removeItem(atPath: farm.blobs.folder)
            try Data().write(to: URL(filePath: farm.blobs.folder))
            try await expectOne("storage", farm.blobs.folder, in: farm)
        }
    }

    @Test("usage counts what was delivered and computed, an owner's own for the owner")
    func usage() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            _ = try await farm.submit("parameters: {prompt: a, seed: 1}")
            let task = try await farm.task(worker.id)
            let index = try #require(task.images.first?.index)
            _ = try await farm.deliver(task, index, TestFarm.picture(), isFinal: true)
            let view: Page<UsageView> = try await farm.call(.get, "/v1/usage")
            #expect(view.items.map(\.images) == [1])
            #expect(view.items.first?.attempts == 1)
            let later: Page<UsageView> = try await farm.call(
                .get,
                "/v1/usage?since=2999-01-01T00:00:00Z"
            )
            #expect(later.items.isEmpty)
            let stranger = try await farm.token("stranger", .viewer)
            let own: Page<UsageView> = try await farm.call(.get, "/v1/usage", token: stranger)
            #expect(own.items.isEmpty)
        }
    }
}
