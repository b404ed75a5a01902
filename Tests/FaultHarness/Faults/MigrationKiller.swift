import FoundationEssentials
import Glibc
import Postgres

/// Kills migrations after so many bytes of their conversation with PostgreSQL.
///
/// How many a whole one takes is measured first, so that each kill is in the middle of one; where, is drawn.
struct MigrationKiller: Sendable {
    private static let link = "migration"

    let installation: Installation
    let log: RunLog

    /// Migrates so many empty databases, each killed once and begun again, and compares their schemas with that of a
    /// migration that nobody killed.
    func run(times: Int) async throws -> RunReport {
        var report = RunReport(name: "migration")
        let folder = "\(installation.work)/migration"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard chmod(folder, 0o711) == 0 else { throw HarnessError("\(folder) cannot be made") }
        try await DatabaseServer.copy(installation.template, to: "\(folder)/server")
        let database = try DatabaseServer(folder: "\(folder)/server", library: installation.library)
        let proxy = try Proxy()
        let server = NamedUpstream(name: "postgres", address: .path(database.socket))
        let port = try proxy.addLink(Self.link, isHTTP: false, to: [server])
        try await database.start()
        do {
            let migrations = Migrations(
                installation: installation,
                folder: folder,
                database: database,
                proxy: proxy,
                port: port
            )
            let whole = try await migrations.whole("whole")
            var generator = SeededGenerator(seed: 1)
            for number in 0..<times {
                let bytes = Int.random(in: 1..<whole.bytes, using: &generator)
                let record = try await migrations.killed(
                    "killed_\(number)",
                    after: bytes,
                    of: whole,
                    isDatabase: number % 3 == 2,
                    log
                )
                report.faults.append(record)
                log.say(
                    "\(number + 1). \(record.kind), \(record.detail): \((record.recoverySeconds ?? -1).tenths) s"
                )
            }
        } catch {
            log.find(Finding(name: "run-failed", detail: "\(error)\n\(database.lastLines())"))
        }
        try await database.stopAtOnce()
        proxy.close()
        report.findings = log.findings
        report.seconds = log.seconds
        return report
    }

    /// Migrations of databases of one server, through the proxy.
    private struct Migrations {
        let installation: Installation
        let folder: String
        let database: DatabaseServer
        let proxy: Proxy
        let port: UInt16

        /// What a migration that nobody killed comes to.
        struct Whole {
            let bytes: Int
            let schema: String
        }

        func whole(_ name: String) async throws -> Whole {
            try await make(name)
            proxy.arm(ProxyGate(point: .afterBytes(.max), path: ""), at: MigrationKiller.link)
            try await migrate(name)
            let bytes = proxy.received(on: MigrationKiller.link)
            proxy.openGate(of: MigrationKiller.link)
            return Whole(bytes: bytes, schema: try await schema(of: name))
        }

        func killed(
            _ name: String,
            after bytes: Int,
            of whole: Whole,
            isDatabase: Bool,
            _ log: RunLog
        ) async throws -> FaultRecord {
            try await make(name)
            proxy.arm(ProxyGate(point: .afterBytes(bytes), path: ""), at: MigrationKiller.link)
            let process = process(name)
            try process.start()
            let deadline = ContinuousClock.now + .seconds(60)
            while proxy.standing(at: MigrationKiller.link) == nil {
                guard ContinuousClock.now < deadline, !process.hasEnded else {
                    throw HarnessError(
                        "the migration ended before byte \(bytes):\n\(process.lastLines())"
                    )
                }
                try await Task.sleep(for: .milliseconds(2))
            }
            let moment = ContinuousClock.now
            if isDatabase { try await database.crash() }
            try await process.kill()
            proxy.resetConnections(of: MigrationKiller.link)
            proxy.openGate(of: MigrationKiller.link)
            if isDatabase { try await database.start() }
            let steps = try await steps(of: name)
            try await migrate(name)
            let seconds = (ContinuousClock.now - moment).inSeconds
            if try await schema(of: name) != whole.schema {
                log.find(
                    Finding(
                        name: "schema-differs",
                        detail: "\(name), killed after \(bytes) bytes and \(steps) steps"
                    )
                )
            }
            try await drop(name)
            return FaultRecord(
                kind:
                    "migration: \(isDatabase ? "postgres and coordinator" : "coordinator") killed",
                part: name,
                detail: "after byte \(bytes) of \(whole.bytes), \(steps) steps were done",
                recoverySeconds: seconds
            )
        }

        private func process(_ name: String) -> ManagedProcess {
            ManagedProcess(
                name,
                "\(installation.programs)/dreamfarm-coordinator",
                [
                    "migrate", "--data-dir", "\(folder)/data", "--database-url",
                    "host=127.0.0.1 port=\(port) user=dreamfarm dbname=\(name)",
                ],
                folder: folder
            )
        }

        private func migrate(_ name: String) async throws {
            let process = process(name)
            try process.start()
            let status = try await process.exitStatus(within: .seconds(60))
            guard status == 0 else {
                throw HarnessError(
                    "the migration of \(name) exits with \(status):\n\(process.lastLines())"
                )
            }
        }

        /// How many steps a database has; none where even their table is not there.
        private func steps(of name: String) async throws -> Int {
            try await withPool(name) { pool in
                let isThere = try await pool.query(
                    "SELECT to_regclass('migration') IS NOT NULL AS yes"
                ).first
                guard try isThere?.decode("yes") ?? false else { return 0 }
                return try await pool.query("SELECT count(*)::integer AS n FROM migration").first?
                    .decode("n") ?? 0
            }
        }

        private func schema(of name: String) async throws -> String {
            let (program, arguments) = DatabaseServer.command(
                "pg_dump",
                ["-h", database.folder, "-U", "dreamfarm", "-d", name, "--schema-only"]
            )
            let text = try await ManagedProcess.run("schema", program, arguments, folder: folder)
            let steps = try await withPool(name) { pool in
                try await pool.query("SELECT number, name FROM migration ORDER BY number").map {
                    "\(try $0.decode("number", as: Int.self)) \(try $0.decode("name", as: String.self))"
                }
            }
            // pg_dump of late draws a word for each of its dumps.
            return
                (text.split(separator: "\n").filter { !$0.hasPrefix("\\") }.map(String.init) + steps)
                .joined(separator: "\n")
        }

        private func make(_ name: String) async throws {
            try await withPool("postgres") { try await $0.execute("CREATE DATABASE \(raw: name)") }
        }

        private func drop(_ name: String) async throws {
            try await withPool("postgres") {
                try await $0.execute("DROP DATABASE \(raw: name) WITH (FORCE)")
            }
        }

        @discardableResult
        private func withPool<Result>(
            _ name: String,
            _ body: (PostgresPool) async throws -> Result
        ) async throws -> Result {
            let pool = PostgresPool(
                PostgresConfiguration(
                    conninfo: "host=\(database.folder) user=dreamfarm dbname=\(name)"
                )
            )
            let result: Swift.Result<Result, any Error>
            do {
                result = .success(try await body(pool))
            } catch {
                result = .failure(error)
            }
            await pool.close()
            return try result.get()
        }
    }
}
