import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import Postgres

/// What something is killed in the middle of.
enum KillMoment: String, CaseIterable, Sendable {
    case upload, delivery, checkpoint, gc, migration
}

/// Kills parts of a farm at moments that are known, not hit by luck: the proxy holds half of an upload or a whole answer
/// back, or a lock of the harness holds a statement, which `pg_stat_activity` shows waiting.
struct MomentKiller: Sendable {
    private enum Victim: Int, Sendable {
        case coordinator, worker, database
    }

    let farm: Farm
    let log: RunLog
    private var injector: Injector { Injector(farm: farm, log: log) }

    /// Kills so many times in the middle of something, with another victim each time.
    func run(_ moment: KillMoment, times: Int) async throws -> [FaultRecord] {
        var records: [FaultRecord] = []
        for number in 0..<times {
            let worker = farm.workers[number % farm.workers.count]
            let victim = Victim(rawValue: number % 3) ?? .coordinator
            switch moment {
            case .upload: records.append(try await killInBody("/images/", moment, worker, victim))
            case .checkpoint where number % 2 == 0 || victim == .worker:
                records.append(try await killInBody("/checkpoint", moment, worker, victim))
            case .checkpoint:
                records.append(
                    try await killInStatement(
                        "/checkpoint",
                        "%FROM lease WHERE task_id = %FOR NO KEY UPDATE%",
                        moment,
                        worker,
                        victim
                    )
                )
            case .delivery where number % 2 == 0 || victim == .worker:
                records.append(try await killBeforeAnswer(moment, worker, victim))
            case .delivery:
                records.append(
                    try await killInStatement(
                        "/images/",
                        "%WITH call AS MATERIALIZED%image.delivered%",
                        moment,
                        worker,
                        victim
                    )
                )
            case .gc: records.append(try await killInSweep(number))
            case .migration: throw HarnessError("a migration has no farm")
            }
            if let last = records.last {
                log.say(
                    "\(number + 1). \(last.kind), \(last.detail): \((last.recoverySeconds ?? -1).tenths) s"
                )
            }
        }
        return records
    }

    // MARK: - At the proxy

    /// Kills when a coordinator has half of a body.
    private func killInBody(
        _ path: String,
        _ moment: KillMoment,
        _ worker: FarmPart,
        _ victim: Victim
    ) async throws -> FaultRecord {
        let gate = ProxyGate(point: .halfBody, path: path)
        return try await killAtGate(gate, moment, worker, victim, "half of the body had come")
    }

    /// Kills when a delivery is committed, and its worker does not know it.
    private func killBeforeAnswer(
        _ moment: KillMoment,
        _ worker: FarmPart,
        _ victim: Victim
    ) async throws -> FaultRecord {
        let gate = ProxyGate(point: .beforeAnswer, path: "/images/")
        return try await killAtGate(
            gate,
            moment,
            worker,
            victim,
            "it was committed and not answered"
        )
    }

    private func killAtGate(
        _ gate: ProxyGate,
        _ moment: KillMoment,
        _ worker: FarmPart,
        _ victim: Victim,
        _ detail: String
    ) async throws -> FaultRecord {
        let upstream = try await stand(at: gate, worker)
        return try await kill(victim, worker, upstream, moment, detail) {
            farm.proxy.openGate(of: worker.link)
        }
    }

    /// Waits until a worker's request is held at a gate.
    ///
    /// - Returns: The coordinator to which it goes.
    private func stand(at gate: ProxyGate, _ worker: FarmPart) async throws -> String {
        farm.proxy.arm(gate, at: worker.link)
        var upstream = ""
        try await farm.wait(
            "\(worker.name) stands in \(gate.path)",
            within: .seconds(60),
            every: .milliseconds(3)
        ) {
            upstream = farm.proxy.standing(at: worker.link) ?? ""
            return !upstream.isEmpty
        }
        return upstream
    }

    // MARK: - In the database

    /// Kills when the statement for a worker's request waits for the worker's lease.
    private func killInStatement(
        _ path: String,
        _ pattern: String,
        _ moment: KillMoment,
        _ worker: FarmPart,
        _ victim: Victim
    ) async throws -> FaultRecord {
        _ = try await stand(at: ProxyGate(point: .halfBody, path: path), worker)
        return try await whileWaiting(
            for: """
                SELECT FROM lease WHERE worker_id IN (SELECT id FROM worker WHERE name = \(worker.name))
                ORDER BY task_id FOR UPDATE
                """,
            pattern,
            then: { farm.proxy.openGate(of: worker.link) }
        ) { upstream in
            try await kill(victim, worker, upstream, moment, "its statement was under way")
        }
    }

    /// Holds a lock until a statement of a coordinator waits for it, and does something then.
    private func whileWaiting(
        for lock: Query,
        _ pattern: String,
        then open: () -> Void = {},
        _ body: @escaping @Sendable (String) async throws -> FaultRecord
    ) async throws -> FaultRecord {
        try await farm.pool.withConnection { connection in
            var isHeld = false
            while !isHeld {
                try await connection.execute("BEGIN")
                do {
                    try await connection.execute(lock)
                    isHeld = true
                } catch let error as DatabaseError where error.isConflict {
                    // A coordinator that holds some of it already goes first, as beside another coordinator.
                    try await connection.execute("ROLLBACK")
                }
            }
            open()
            var upstream = ""
            try await farm.wait(
                "a statement waits: \(pattern)",
                within: .seconds(25),
                every: .milliseconds(3)
            ) {
                upstream =
                    try await farm.pool.query(
                        """
                        SELECT application_name FROM pg_stat_activity
                        WHERE wait_event_type = 'Lock' AND query LIKE \(pattern)
                            AND application_name LIKE 'coordinator-%' LIMIT 1
                        """
                    ).first?.decode("application_name") ?? ""
                return !upstream.isEmpty
            }
            // The lock goes with its session where the database is the victim.
            async let record = body(upstream)
            try await Task.sleep(for: .milliseconds(300))
            _ = try? await connection.execute("ROLLBACK")
            return try await record
        }
    }

    // MARK: - Killing

    private func kill(
        _ victim: Victim,
        _ worker: FarmPart,
        _ upstream: String,
        _ moment: KillMoment,
        _ detail: String,
        then open: () -> Void = {}
    ) async throws -> FaultRecord {
        let begin = ContinuousClock.now
        let way: Injector.Way
        let name: String
        switch victim {
        case .coordinator:
            guard let part = farm.coordinators.first(where: { $0.name == upstream }) else {
                throw HarnessError("\(upstream) is no coordinator")
            }
            try await part.process.kill()
            open()
            try part.process.start()
            (name, way) = ("coordinator", .upstream(upstream))
        case .worker:
            try await worker.process.kill()
            open()
            try worker.process.start()
            (name, way) = ("worker", .link(worker.link))
        case .database:
            try await farm.database.crash()
            open()
            try await farm.database.start()
            (name, way) = ("postgres", .anyDelivery)
        }
        return try await injector.recover(
            "\(moment.rawValue): \(name) killed",
            victim == .worker ? worker.name : victim == .coordinator ? upstream : "postgres",
            detail,
            since: begin,
            through: way
        )
    }

    // MARK: - Garbage

    /// Kills when a sweep has removed a blob and not yet what is known of it.
    private func killInSweep(_ number: Int) async throws -> FaultRecord {
        let loose = try await makeLooseBlobs(number)
        let sweep = Task { [farm] in try? await farm.sweepBlobs(at: 0) }
        // How far the sweep has come when it comes to this one depends on the blobs' digests.
        let held = loose[number % loose.count]
        let isDatabase = number % 2 == 1
        let record = try await whileWaiting(
            for: "SELECT FROM blob_holder WHERE digest = \(held.rawValue) FOR UPDATE",
            "%DELETE FROM blob_holder%"
        ) { upstream in
            let gone = loose.filter { access(farm.path(of: $0), F_OK) != 0 }.count
            guard gone > 0, access(farm.path(of: held), F_OK) != 0 else {
                throw HarnessError("the sweep had removed \(gone) of \(loose.count) blobs")
            }
            return try await kill(
                isDatabase ? .database : .coordinator,
                farm.workers[0],
                upstream,
                .gc,
                "\(gone) of \(loose.count) loose blobs were removed"
            )
        }
        sweep.cancel()
        _ = await sweep.value
        try await farm.waitUntilReady(farm.addresses[0])
        try await farm.sweepBlobs(at: 0)
        let left = loose.filter { access(farm.path(of: $0), F_OK) == 0 }.count
        if left > 0 {
            log.find(Finding(name: "garbage-left", detail: "\(left) blobs after a whole sweep"))
        }
        return record
    }

    /// Stores blobs that nothing names, and makes all blobs of the store old enough to be judged.
    private func makeLooseBlobs(_ number: Int) async throws -> [BlobDigest] {
        var loose: [BlobDigest] = []
        for blob in 0..<12 {
            let bytes = Data("loose \(number) \(blob)".utf8)
            let path = "\(farm.folder)/loose"
            try bytes.write(to: URL(filePath: path))
            let digest = BlobDigest(of: bytes)
            try await farm.client(of: 1).uploadBlob(digest, file: path)
            try await farm.pool.execute(
                """
                INSERT INTO blob_holder (digest, owner, shown_at)
                VALUES (\(digest.rawValue), 'someone', now() - interval '2 days')
                """
            )
            loose.append(digest)
        }
        let outputs = try await farm.pool.query("SELECT digest FROM output").compactMap {
            BlobDigest(rawValue: try $0.decode("digest"))
        }
        for digest in loose + outputs {
            var times = [timeval](
                repeating: timeval(tv_sec: time(nil) - 200_000, tv_usec: 0),
                count: 2
            )
            guard utimes(farm.path(of: digest), &times) == 0 else {
                throw HarnessError("\(farm.path(of: digest)) is not there")
            }
        }
        return loose
    }
}

extension Farm {
    /// Sweeps as soon as no other sweep removes anything.
    fileprivate func sweepBlobs(at number: Int) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                _ = try await client(of: number).sweepBlobs(isDryRun: false)
                return
            } catch let error as FarmClientError
                where error.kind == .wrongState && ContinuousClock.now < deadline
            {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Where the folder of blobs keeps one.
    func path(of digest: BlobDigest) -> String {
        "\(blobs)/\(digest.rawValue.prefix(2))/\(digest)"
    }
}
