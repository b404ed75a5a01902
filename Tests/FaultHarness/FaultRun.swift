import FarmClient
import FarmModel
import FoundationEssentials
import Postgres

/// What a run has come to.
struct RunReport: Sendable, Codable {
    var name: String
    var seconds = 0.0
    var images = 0
    var blobs = 0
    /// How often the database was audited while the farm worked.
    var audits = 0
    /// Leases that ran out, and images that were given up for it and retried.
    var lapses = 0
    var retried = 0
    var faults: [FaultRecord] = []
    var findings: [Finding] = []
}

/// A farm that does a seed's faults, or whatever else is done to it, and is then looked into.
struct FaultRun: Sendable {
    let installation: Installation
    let shape: FarmShape
    let images: Int
    let rendered: [Int64: BlobDigest]
    let auditor: Auditor
    /// How long simulated workers take for an image while things are done, in seconds.
    var imageSeconds = 1.2
    var isKept = false

    /// Makes a farm in a folder of the run's name, gives it work, does things to it, and audits it.
    ///
    /// - Returns: What was found; where the run itself failed, that is a finding, too.
    func run(
        _ name: String,
        _ log: RunLog,
        _ body: @Sendable (Farm, Supply) async throws -> [FaultRecord]
    ) async throws -> RunReport {
        var report = RunReport(name: name)
        let folder = "\(installation.work)/\(name)"
        let farm = try await Farm(installation, folder: folder, shape: shape)
        do {
            try await farm.start(imageSeconds: imageSeconds)
            try await work(on: farm, &report, log, body)
        } catch is CancellationError {
            await stop(farm, log)
            throw CancellationError()
        } catch {
            log.find(Finding(name: "run-failed", detail: "\(error)"))
        }
        await stop(farm, log)
        report.findings = log.findings
        report.seconds = log.seconds
        if report.findings.isEmpty, !isKept { try FileManager.default.removeItem(atPath: folder) }
        return report
    }

    /// Stops everything, also where the run was cancelled.
    private func stop(_ farm: Farm, _ log: RunLog) async {
        // Shielded from a cancellation, and awaited at once.
        await Task {
            do {
                try await farm.stop()
            } catch {
                log.find(Finding(name: "not-stopped", detail: "\(error)"))
            }
        }.value
    }

    private func work(
        on farm: Farm,
        _ report: inout RunReport,
        _ log: RunLog,
        _ body: @Sendable (Farm, Supply) async throws -> [FaultRecord]
    ) async throws {
        let supply = Supply(farm: farm, images: images)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await auditor.watch(farm.pool, log) }
            group.addTask { try await supply.run() }
            try await farm.wait("a task is claimed", within: .seconds(60)) {
                try await !farm.pool.query("SELECT FROM lease").isEmpty
            }
            report.faults = try await body(farm, supply)
            supply.close()
            try farm.setPace(0.1)
            report.retried = try await waitUntilOver(farm, log)
            report.lapses =
                try await farm.pool.query(
                    "SELECT count(*)::integer AS n FROM attempt WHERE outcome = 'lapsed'"
                ).first?.decode("n") ?? 0
            try await audit(farm, supply, &report, log)
            group.cancelAll()
            try await group.waitForAll()
        }
        report.audits = log.audits
    }

    /// Waits until all jobs are over, and retries what was given up because its workers died again and again.
    private func waitUntilOver(_ farm: Farm, _ log: RunLog) async throws -> Int {
        var retried = 0
        let begin = ContinuousClock.now
        var isSlow = false
        while true {
            try await farm.wait("all jobs are over", within: .seconds(180)) {
                if !isSlow, ContinuousClock.now - begin > .seconds(20) {
                    isSlow = true
                    log.say("after 20 s not over: \(try await left(farm))")
                }
                return try await farm.pool.query(
                    "SELECT FROM job WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
                ).isEmpty
            }
            let failed = try await farm.pool.query(
                """
                SELECT job_id::text AS job, count(*)::integer AS images,
                    count(*) FILTER (WHERE failure_message NOT LIKE 'poison:%')::integer AS others,
                    max(failure_message) AS message
                FROM image WHERE state = 'failed' GROUP BY job_id
                """
            )
            if failed.isEmpty { return retried }
            for row in failed {
                let message = try row.decode("message", as: String.self)
                if try row.decode("others", as: Int.self) > 0 {
                    log.find(Finding(name: "failed", detail: message))
                }
                let images = try row.decode("images", as: Int.self)
                log.say("\(images) images retried: \(message)")
                retried += images
                if let job = JobID(try row.decode("job", as: String.self)) {
                    _ = try await farm.client().retry(job)
                }
            }
            guard retried < 1000 else { throw HarnessError("images fail again and again") }
        }
    }

    /// What is still to be done, in words.
    private func left(_ farm: Farm) async throws -> String {
        try await farm.pool.query(
            """
            SELECT string_agg(line, '; ') AS line FROM (
                SELECT format('%s claimable of %s', count(*), model_name) AS line
                    FROM ready JOIN job ON job.id = job_id GROUP BY model_name
                UNION ALL SELECT format('%s rest until %s', count(*), max(until))
                    FROM resting HAVING count(*) > 0
                UNION ALL SELECT format('%s holds %s until %s at step %s', worker.name,
                        lease.task_id, deadline, step)
                    FROM lease JOIN worker ON worker.id = worker_id
            ) AS part
            """
        ).first?.decodeIfPresent("line") ?? "nothing"
    }

    private func audit(
        _ farm: Farm,
        _ supply: Supply,
        _ report: inout RunReport,
        _ log: RunLog
    ) async throws {
        for finding in try await auditor.violations(farm.pool) { log.find(finding) }
        let ledger = Ledger(farm: farm, log: log, rendered: rendered)
        for reader in supply.readers { report.images += try await ledger.check(reader) }
        let jobs = try await farm.pool.query("SELECT count(*)::integer AS n FROM job").first?
            .decode("n", as: Int.self)
        if jobs != supply.readers.count {
            log.find(
                Finding(
                    name: "job-doubled",
                    detail: "\(jobs ?? 0) jobs, \(supply.readers.count) were submitted"
                )
            )
        }
        report.blobs = try ledger.checkBlobs()
        // The product's own audit, by a connection of its own.
        do {
            _ = try await ManagedProcess.run(
                "audit",
                "\(installation.programs)/dreamfarm-coordinator",
                [
                    "audit", "--data-dir", "\(farm.folder)/audit", "--database-url",
                    farm.database.conninfo,
                ],
                folder: farm.folder
            )
        } catch {
            log.find(Finding(name: "audit", detail: "\(error)"))
        }
    }
}
