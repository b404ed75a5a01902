import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// Looks at the farm for what is wrong with it, and says what to do about it.
struct FarmDoctor: Sendable {
    /// The checks, in order.
    enum Check: String, CaseIterable, Sendable {
        case database, clocks, storage, certificate, versions, workers, models
    }

    /// From how far on two clocks differ, in seconds.
    private static let clockTolerance = 3.0
    /// Dead rows of a table are too many above both: this many, and so many times the live ones.
    private static let (mostDead, deadRatio) = (20_000, 10)
    /// A certificate is to be renewed when it is good for less, in seconds.
    private static let certificateNotice = 21 * 86_400.0
    /// A worker is slow that does less than this part of what others of its class do.
    private static let slowness = 0.6

    let store: FarmStore
    let blobs: any BlobStorage
    let blobReserve: Double
    let dataDirectory: String?
    let certificateExpiry: Date?

    /// Makes every check; one that cannot be made is a finding itself.
    func examine() async -> DoctorView {
        var findings: [FindingView] = []
        findings += await storage()
        findings += certificate()
        do {
            let asked = Date()
            let facts = try await store.databaseFacts()
            let answered = Date()
            findings += database(facts)
            let workers = try await store.workers()
            findings += clocks(facts, between: asked, and: answered, workers)
            findings += versions(facts, workers) + speeds(of: workers) + models(facts)
        } catch {
            findings.append(
                finding(
                    .database,
                    .failure,
                    "the database does not answer: \(error)",
                    "start PostgreSQL, or mend --database-url"
                )
            )
        }
        let order = Check.allCases.map(\.rawValue)
        return DoctorView(
            version: FarmSettings.version,
            now: Date(),
            checks: order,
            findings: findings.sorted {
                (order.firstIndex(of: $0.check) ?? 0) < (order.firstIndex(of: $1.check) ?? 0)
            }
        )
    }

    private func finding(
        _ check: Check,
        _ level: FindingLevel,
        _ message: String,
        _ remedy: String
    ) -> FindingView {
        FindingView(check.rawValue, level, message, remedy: remedy)
    }

    // MARK: - The database

    private func database(_ facts: DatabaseFacts) -> [FindingView] {
        var findings: [FindingView] = []
        if !facts.missingSteps.isEmpty {
            findings.append(
                finding(
                    .database,
                    .failure,
                    "the schema lacks \(facts.missingSteps.joined(separator: ", "))",
                    "run dreamfarm-coordinator migrate, or start a coordinator of this release"
                )
            )
        }
        for holder in facts.lockHolders {
            let program = holder.session.program.isEmpty ? "a program" : holder.session.program
            findings.append(
                finding(
                    .database,
                    .failure,
                    "\(program) (process \(holder.session.processID) of the server) holds the lock of "
                        + "\(holder.lock), which no coordinator can do meanwhile",
                    "end that session: SELECT pg_terminate_backend(\(holder.session.processID))"
                )
            )
        }
        let swollen = facts.tables.filter {
            $0.value.dead > max(Self.mostDead, Self.deadRatio * $0.value.live)
        }
        for (name, rows) in swollen.sorted(by: { $0.key < $1.key }) {
            let cause = facts.oldestTransaction.map {
                "end what keeps them: SELECT pg_terminate_backend(\($0.processID)); then "
            }
            findings.append(
                finding(
                    .database,
                    .warning,
                    "the table \(name) has \(rows.dead) dead rows beside \(rows.live), which slow claims",
                    (cause ?? "see that autovacuum is on; ") + "VACUUM \(name)"
                )
            )
        }
        if let oldest = facts.oldestTransaction {
            findings.append(
                finding(
                    .database,
                    .warning,
                    "a transaction of \(oldest.program.isEmpty ? "a program" : oldest.program) has lasted "
                        + "\(Int(oldest.seconds / 60)) minutes; dead rows are kept for it",
                    "end it: SELECT pg_terminate_backend(\(oldest.processID))"
                )
            )
        }
        return findings
    }

    // MARK: - Clocks

    private func clocks(
        _ facts: DatabaseFacts,
        between asked: Date,
        and answered: Date,
        _ workers: [WorkerRecord]
    ) -> [FindingView] {
        var findings: [FindingView] = []
        // The database's clock stood somewhere between the two.
        let early = asked.timeIntervalSince(facts.now)
        let late = facts.now.timeIntervalSince(answered)
        let offset = max(early, late)
        if offset > Self.clockTolerance {
            findings.append(
                finding(
                    .clocks,
                    .failure,
                    "the coordinator's clock is \(Self.text(offset)) "
                        + "\(early > 0 ? "ahead of" : "behind") the database's",
                    "have both hosts keep the time by NTP (timedatectl set-ntp true)"
                )
            )
        }
        for worker in workers {
            guard let offset = worker.clockOffset, abs(offset) > Self.clockTolerance else {
                continue
            }
            findings.append(
                finding(
                    .clocks,
                    .warning,
                    "the clock of worker \(worker.name) is \(Self.text(abs(offset))) "
                        + "\(offset > 0 ? "ahead of" : "behind") the database's",
                    "have its host keep the time by NTP (timedatectl set-ntp true)"
                )
            )
        }
        return findings
    }

    private static func text(_ seconds: Double) -> String {
        seconds < 120 ? "\(Int(seconds.rounded())) s" : "\(Int((seconds / 60).rounded())) min"
    }

    // MARK: - Storage

    private func storage() async -> [FindingView] {
        var findings: [FindingView] = []
        do {
            let known = try? await store.farmRecord().blobStoreID
            _ = try await blobs.probe(expecting: known)
            if let space = try await blobs.freeSpace() {
                findings += room(space.fraction, at: blobs.location)
            }
        } catch {
            findings.append(
                finding(
                    .storage,
                    .failure,
                    "the blob store \(blobs.location) cannot be used: \(error)",
                    "mount it, or mend --blob-store and its credentials"
                )
            )
        }
        if let dataDirectory, let free = DiskRoom.freeFraction(of: dataDirectory), free < 0.05 {
            findings.append(
                finding(
                    .storage,
                    free < 0.01 ? .failure : .warning,
                    "the disk of the data folder \(dataDirectory) is \(Self.percent(1 - free)) full",
                    "make room on it, or move the folder to a larger disk"
                )
            )
        }
        return findings
    }

    private func room(_ fraction: Double, at location: String) -> [FindingView] {
        guard fraction < max(2 * blobReserve, 0.02) else { return [] }
        let isFull = fraction < blobReserve
        return [
            finding(
                .storage,
                isFull ? .failure : .warning,
                "the blob store \(location) has \(Self.percent(fraction)) of its room left"
                    + (isFull
                        ? ", less than its reserve of \(Self.percent(blobReserve)): nothing is claimed"
                        : ""),
                "make room, keep pictures for less long (--keep-outputs, dreamfarm retention), or run "
                    + "dreamfarm blobs gc"
            )
        ]
    }

    private static func percent(_ part: Double) -> String { "\(Int((part * 100).rounded())) %" }

    private func certificate() -> [FindingView] {
        guard let certificateExpiry else { return [] }
        let left = certificateExpiry.timeIntervalSince(Date())
        guard left < Self.certificateNotice else { return [] }
        let message =
            left < 0
            ? "the coordinator's certificate has expired"
            : "the coordinator's certificate expires in \(Int(left / 86_400)) days"
        return [
            finding(
                .certificate,
                left < 0 ? .failure : .warning,
                message,
                "renew the files of --tls-certificate and --tls-key; they are read again by themselves"
            )
        ]
    }

    // MARK: - The fleet

    private func versions(_ facts: DatabaseFacts, _ workers: [WorkerRecord]) -> [FindingView] {
        var findings: [FindingView] = []
        if !facts.newerSteps.isEmpty {
            findings.append(
                finding(
                    .versions,
                    .warning,
                    "the schema has steps of a newer release than this coordinator's "
                        + "\(FarmSettings.version): \(facts.newerSteps.joined(separator: ", "))",
                    "finish the upgrade: start the newer release here, too"
                )
            )
        }
        let old = Dictionary(
            grouping: workers.compactMap { worker in
                Self.version(of: worker).map { (version: $0, name: worker.name) }
            },
            by: \.version
        )
        for (version, workers) in old.sorted(by: { $0.key < $1.key })
        where FarmStore.isVersion(version, before: FarmSettings.version) {
            findings.append(
                finding(
                    .versions,
                    .warning,
                    "\(Self.list(workers.map(\.name))) run release \(version), and the coordinator "
                        + "\(FarmSettings.version)",
                    "drain them and start the newer dreamfarm-worker"
                )
            )
        }
        return findings
    }

    /// The release of a worker that is one of ours.
    private static func version(of worker: WorkerRecord) -> String? {
        guard worker.engine.hasPrefix("dreamfarm-worker ") else { return nil }
        return worker.engine.split(separator: " ").last.map { String($0) }
    }

    private func speeds(of workers: [WorkerRecord]) -> [FindingView] {
        struct Class: Hashable {
            var model: String
            var numericClass: String
        }
        let measured = workers.filter { $0.speed > 0 && $0.takesTasks }
        let classes = Dictionary(grouping: measured) {
            Class(model: $0.modelDigest, numericClass: $0.numericClass)
        }
        return classes.values.flatMap { members -> [FindingView] in
            members.compactMap { worker in
                let others = members.filter { $0.id != worker.id }.map(Self.speedPerThread).sorted()
                guard !others.isEmpty else { return nil }
                let usual = others[others.count / 2]
                let own = Self.speedPerThread(of: worker)
                guard own < Self.slowness * usual else { return nil }
                return finding(
                    .workers,
                    .warning,
                    "worker \(worker.name) does \(Self.percent(own / usual)) of what others of its class do "
                        + "with a thread",
                    "look for what else runs on its host, for heat and for its memory; "
                        + "dreamfarm worker drain \(worker.name) keeps tasks from it"
                )
            }
        }.sorted { $0.message < $1.message }
    }

    private static func speedPerThread(of worker: WorkerRecord) -> Double {
        let machine = try? FarmJSON.decode(MachineInfo.self, from: Data(worker.info.utf8))
        return worker.speed / Double(max(1, machine?.threads ?? 1))
    }

    private func models(_ facts: DatabaseFacts) -> [FindingView] {
        facts.unnamedModels.map { model in
            finding(
                .models,
                .warning,
                "\(Self.list(model.workers)) have the model \(model.name) (\(model.digest.prefix(12))), which "
                    + "no job names",
                "see dreamfarm models; start them with the model, adapters and options that jobs name, or "
                    + "submit with model: \(model.name)"
            )
        }
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.sorted().prefix(5).joined(separator: ", ")
        let rest = names.count > 5 ? " and \(names.count - 5) more" : ""
        return (names.count == 1 ? "worker " : "workers ") + shown + rest
    }
}
