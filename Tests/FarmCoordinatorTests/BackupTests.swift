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

/// Backups of a database server of the test's own, for they are of whole databases.
@Suite(.timeLimit(.minutes(10))) struct BackupTests {
    /// A farm, a folder for its backups, and another empty database of the same server.
    struct Scene: Sendable {
        let farm: TestFarm
        let folder: BackupFolder
        let other: FarmStore
        /// The databases of the farm and of the other.
        let pools: (own: PostgresPool, other: PostgresPool)

        static func run(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
            try await withCluster { cluster in
                let pool = PostgresPool(cluster.connection)
                try await pool.execute("CREATE DATABASE other")
                var connection = cluster.connection
                connection.conninfo += " dbname=other"
                let otherPool = PostgresPool(connection)
                let path = FileManager.default.temporaryDirectory.path + "/backup-\(UUID())"
                defer { try? FileManager.default.removeItem(atPath: path) }
                let folder = BackupFolder(path: path)
                try folder.create()
                try await TestFarm.withAPI(pool: pool) { farm in
                    let id = try await farm.blobs.probe(expecting: nil)
                    _ = try await farm.store.recordBlobStoreID(id)
                    try await body(
                        Scene(
                            farm: farm,
                            folder: folder,
                            other: FarmStore(pool: otherPool),
                            pools: (pool, otherPool)
                        )
                    )
                }
                await otherPool.close()
                await pool.close()
            }
        }

        func backup(
            keeping count: Int? = nil,
            hasBlobs: Bool = true,
            verifies: Bool = false
        ) async throws -> BackupRecord {
            let job = BackupJob(
                store: farm.store,
                blobs: farm.blobs,
                folder: folder,
                hasBlobs: hasBlobs,
                verifies: verifies,
                keepOutputs: nil,
                tell: { _ in }
            )
            return try await job.run(keeping: count)
        }

        /// Restores the newest backup into the other database and a new blob store.
        func restore(
            into blobs: FolderBlobStore,
            isDryRun: Bool = false
        ) async throws -> RestoreReport {
            let record = try folder.record(nil)
            let job = RestoreJob(
                store: other,
                blobs: blobs,
                folder: folder,
                record: record,
                digests: try folder.manifest(of: record.name),
                tell: { _ in }
            )
            return try await job.run(isDryRun: isDryRun)
        }

        func makeStore() throws -> FolderBlobStore {
            try FolderBlobStore(folder: "\(folder.path)/restored-\(UUID())")
        }

        /// Delivers a picture of a grey level, the only one of its job.
        func deliver(_ level: UInt8, by worker: WorkerID) async throws -> BlobDigest {
            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            let picture = try TestFarm.picture(level)
            let response = try await farm.deliver(task, 0, picture, isFinal: true)
            #expect(response.status == .created)
            return BlobDigest(of: picture)
        }
    }

    @Test("a restored farm has the jobs, the pictures and the tokens of the backup, and no more")
    func roundTrip() async throws {
        try await Scene.run { scene in
            let farm = scene.farm
            let worker = try await farm.register().id
            let token = try await farm.token("alice", .submitter)
            let picture = try await scene.deliver(10, by: worker)
            _ = try await farm.submit("name: waits\nparameters: {prompt: a, seed: 1-3}")
            let running = try await farm.task(worker)
            let key = try await farm.joined("joined").key
            #expect(try await farm.store.bearer(secret: key) != nil)
            try await scene.pools.own.execute(
                "UPDATE worker_credential SET expires_at = now() + interval '1 h'"
            )
            let record = try await scene.backup()
            #expect(record.blobs == 1 && record.lost.isEmpty && record.expired == 0)
            // What comes after it is not in it.
            _ = try await farm.deliver(running, 0, TestFarm.picture(11))

            let blobs = try scene.makeStore()
            let looked = try await scene.restore(into: blobs, isDryRun: true)
            #expect(looked.isWhole && looked.copied == 0)
            #expect(try await scene.other.isEmpty())
            let report = try await scene.restore(into: blobs)
            #expect(report.isWhole && report.copied == 1 && report.applied.isEmpty)
            #expect(try await blobs.contains(picture))
            #expect(try await blobs.identifier() == record.blobStore)
            let jobs = try await scene.other.jobs(limit: 10)
            #expect(jobs.count == 2)
            #expect(jobs.map(\.images.delivered).reduce(0, +) == 1)
            #expect(try await scene.other.bearer(secret: token)?.owner == "alice")
            // The key of the backup's time, whatever the worker has had since.
            let extended = try await scene.pools.other.query(
                """
                SELECT count(*) AS n FROM worker_credential
                WHERE expires_at > now() + interval '23 h'
                """
            ).first?.decode("n", as: Int.self)
            #expect(extended == 1)
            #expect(try await scene.other.bearer(secret: key) != nil)
            // What ran then is still leased then: the farm goes on from there.
            #expect(try await scene.other.gauges().tables["lease"]?.live != 0)
        }
    }

    @Test("a second backup copies what is new, and the folder keeps what it is to keep")
    func keeping() async throws {
        try await Scene.run { scene in
            let worker = try await scene.farm.register().id
            let first = try await scene.deliver(10, by: worker)
            let old = try await scene.backup()
            let job = try #require(await scene.farm.store.jobs(limit: 1).first)
            let path = "/v1/jobs/\(job.id)"
            #expect(try await scene.farm.send(.delete, path).status == .ok)
            let second = try await scene.deliver(20, by: worker)
            let store = try FolderBlobStore(folder: scene.folder.blobs)
            _ = try await scene.backup(keeping: 2)
            #expect(scene.folder.names().count == 2)
            #expect(try await store.contains(first))
            let newest = try await scene.backup(keeping: 1)
            #expect(scene.folder.names() == [newest.name])
            #expect(newest.name > old.name)
            #expect(try await !store.contains(first))
            #expect(try await store.contains(second))
        }
    }

    @Test("a backup that a wrong clock dated later does not push out the one that was just made")
    func datedLater() async throws {
        try await Scene.run { scene in
            _ = try await scene.deliver(10, by: try await scene.farm.register().id)
            let wrong = try await scene.backup()
            let folder = scene.folder.path
            let later = "20991231T000000Z"
            try FileManager.default.moveItem(
                atPath: "\(folder)/\(wrong.name)",
                toPath: "\(folder)/\(later)"
            )
            let right = try await scene.backup(keeping: 1)
            #expect(scene.folder.names() == [right.name])
        }
    }

    @Test("blobs that are gone or damaged are told of, and the rest is kept")
    func losses() async throws {
        try await Scene.run { scene in
            let worker = try await scene.farm.register().id
            let gone = try await scene.deliver(10, by: worker)
            let damaged = try await scene.deliver(20, by: worker)
            let whole = try await scene.deliver(30, by: worker)
            try await scene.farm.blobs.remove(gone)
            let record = try await scene.backup()
            #expect(record.lost == [gone] && record.blobs == 2)
            let copies = try FolderBlobStore(folder: scene.folder.blobs)
            let path = "\(copies.folder)/\(damaged.rawValue.prefix(2))/\(damaged)"
            try Data("other bytes".utf8).write(to: URL(fileURLWithPath: path))
            let blobs = try scene.makeStore()
            let looked = try await scene.restore(into: blobs, isDryRun: true)
            #expect(Set(looked.lost) == [gone, damaged])
            let report = try await scene.restore(into: blobs)
            #expect(Set(report.lost) == [gone, damaged] && !report.isWhole)
            #expect(try await blobs.contains(whole))
        }
    }

    @Test("a backup that verifies makes a copy anew that was damaged in the folder")
    func damagedCopy() async throws {
        try await Scene.run { scene in
            let picture = try await scene.deliver(10, by: try await scene.farm.register().id)
            _ = try await scene.backup()
            let copies = try FolderBlobStore(folder: scene.folder.blobs)
            let path = "\(copies.folder)/\(picture.rawValue.prefix(2))/\(picture)"
            try Data("cut sh".utf8).write(to: URL(fileURLWithPath: path))
            _ = try await scene.backup()
            #expect(try await copies.size(of: picture) == 6)
            let record = try await scene.backup(verifies: true)
            #expect(record.lost.isEmpty)
            let report = try await scene.restore(into: scene.makeStore(), isDryRun: true)
            #expect(report.isWhole)
        }
    }

    @Test("a folder of one farm's backups is not another's")
    func anotherFarm() async throws {
        try await Scene.run { scene in
            let record = try await scene.backup()
            let error = #expect(throws: BackupError.self) {
                try scene.folder.claim(for: "another")
            }
            #expect(error?.description.contains("another farm") == true)
            #expect(scene.folder.names() == [record.name])
        }
    }

    @Test("a backup without blobs lists them, and finds them in the store that is restored to")
    func namesAlone() async throws {
        try await Scene.run { scene in
            let worker = try await scene.farm.register().id
            let picture = try await scene.deliver(10, by: worker)
            let record = try await scene.backup(hasBlobs: false)
            #expect(record.blobs == 1 && !record.hasBlobs)
            #expect(!FileManager.default.fileExists(atPath: scene.folder.blobs))
            let report = try await scene.restore(into: scene.farm.blobs)
            #expect(report.isWhole && report.copied == 0)
            #expect(try scene.folder.manifest(of: record.name) == [picture])
        }
    }

    @Test("a restore leaves a database that is not empty, and another farm's blobs, as they are")
    func refusals() async throws {
        try await Scene.run { scene in
            let record = try await scene.backup()
            let foreign = try scene.makeStore()
            _ = try await foreign.establishIdentifier("another")
            await #expect(throws: BlobStoreError.self) { try await scene.restore(into: foreign) }
            #expect(try await scene.other.isEmpty())
            _ = try await scene.other.migrate()
            let error = await #expect(throws: BackupError.self) {
                try await scene.restore(into: scene.makeStore())
            }
            #expect(error?.description.contains("--data-dir") == true)
            #expect(throws: BackupError.self) { try scene.folder.record("20000101T000000Z") }
            #expect(throws: BackupError.self) { try BackupFolder(path: "/nowhere").record(nil) }
            let file = "\(scene.folder.path)/\(record.name)/backup.json"
            try Data("{}".utf8).write(to: URL(fileURLWithPath: file))
            #expect(throws: BackupError.self) { try scene.folder.record(nil) }
        }
    }

    @Test("blobs are not swept while they are copied, nor copied by two at once")
    func held() async throws {
        try await Scene.run { scene in
            let store = scene.farm.store
            let kind = try await store.withBlobsHeld {
                let other = try await store.withBlobsHeld { true }
                #expect(other == nil)
                return try await scene.farm.problem(.post, "/v1/blobs/sweep")
            }
            #expect(kind == .wrongState)
            #expect(try await scene.farm.send(.post, "/v1/blobs/sweep").status == .ok)
        }
    }

    @Test("a backup that was cut short is none, and the next one clears it away")
    func cutShort() async throws {
        try await Scene.run { scene in
            _ = try scene.folder.begin(at: Date(timeIntervalSince1970: 0))
            let found = { try FileManager.default.contentsOfDirectory(atPath: scene.folder.path) }
            #expect(try found() == [".19700101T000000Z"])
            #expect(scene.folder.names().isEmpty)
            #expect(throws: BackupError.self) { try scene.folder.record(nil) }
            try Data("key".utf8).write(to: URL(filePath: scene.folder.path + "/.ssh"))
            let record = try await scene.backup()
            // What is hidden and none of it stays.
            #expect(Set(try found()) == [record.name, "blobs", ".farm", ".ssh"])
        }
    }

    @Test("a folder that has other things in it takes no backup")
    func otherThings() async throws {
        try await Scene.run { scene in
            try scene.folder.create()
            let file = URL(filePath: scene.folder.path + "/notes.txt")
            try Data("mine".utf8).write(to: file)
            #expect(throws: BackupError.self) { try scene.folder.create() }
            try FileManager.default.removeItem(at: file)
            try FileManager.default.createDirectory(
                atPath: scene.folder.path + "/lost+found",
                withIntermediateDirectories: false
            )
            try scene.folder.create()
            _ = try await scene.backup()
            try scene.folder.create()
        }
    }
}
