import FarmModel
import FoundationEssentials
import Glibc
import Postgres

/// Makes the faults of a plan, and measures how the farm comes out of each.
struct Injector: Sendable {
    /// How long the farm may take to come out of a fault.
    static let patience = Duration.seconds(60)

    let farm: Farm
    let log: RunLog

    /// Makes all faults, one after the other or two at once as the plan says.
    func run(_ plan: FaultPlan) async throws -> [FaultRecord] {
        var records: [FaultRecord] = []
        var rest = plan.faults[...]
        while let fault = rest.popFirst() {
            if fault.overlapsNext, let next = rest.first, Self.canOverlap(fault, next) {
                rest = rest.dropFirst()
                async let first = make(fault)
                async let second = make(next)
                records += try await [first, second]
            } else {
                records.append(try await make(fault))
            }
        }
        return records
    }

    /// Two that both stop PostgreSQL, or hit the same worker, would not be the faults that they say they are; the one
    /// that lies has to be heard.
    private static func canOverlap(_ fault: PlannedFault, _ other: PlannedFault) -> Bool {
        let kinds = [fault.kind, other.kind]
        return !kinds.allSatisfy(\.isOfDatabase) && !kinds.contains(.lyingWorker)
            && fault.kind != other.kind
    }

    private func make(_ fault: PlannedFault) async throws -> FaultRecord {
        try await Task.sleep(for: .seconds(fault.gap))
        var record = try await dispatch(fault)
        let recovery = record.recoverySeconds.map { "\($0.tenths) s" } ?? "never"
        log.say(
            "\(fault.number). \(fault.kind.rawValue): \(record.part), \(record.detail): \(recovery)"
        )
        record.recoverySeconds = record.recoverySeconds.map { max(0, $0) }
        return record
    }

    private func dispatch(_ fault: PlannedFault) async throws -> FaultRecord {
        let worker = farm.workers[fault.pick(farm.workers.count)]
        let coordinator = farm.coordinators[fault.pick(farm.coordinators.count)]
        switch fault.kind {
        case .killWorker: return try await kill(worker, fault, isWorker: true)
        case .killCoordinator: return try await kill(coordinator, fault, isWorker: false)
        case .stopWorker: return try await stop(worker, fault, isWorker: true)
        case .stopCoordinator: return try await stop(coordinator, fault, isWorker: false)
        case .killDatabase, .restartDatabase, .databaseOutage, .stopDatabase:
            return try await hitDatabase(fault)
        case .droppedConnections, .slowConnections, .brokenConnections, .lostAnswers,
            .doubledRequests:
            return try await hitConnections(fault)
        case .fullDisk: return try await fillDisk(fault)
        case .clockJump: return try await moveClock(fault)
        case .lyingWorker: return try await lie(fault)
        }
    }

    // MARK: - Processes

    private func kill(
        _ part: FarmPart,
        _ fault: PlannedFault,
        isWorker: Bool
    ) async throws -> FaultRecord {
        let moment = ContinuousClock.now
        try await part.process.kill()
        let away = min(fault.length, 2)
        try await Task.sleep(for: .seconds(away))
        try part.process.start()
        return try await recover(
            fault,
            part.name,
            "killed, started again after \(away.tenths) s",
            since: moment,
            through: isWorker ? .link(part.link) : .upstream(part.name)
        )
    }

    private func stop(
        _ part: FarmPart,
        _ fault: PlannedFault,
        isWorker: Bool
    ) async throws -> FaultRecord {
        part.process.signal(SIGSTOP)
        try await Task.sleep(for: .seconds(fault.length))
        let moment = ContinuousClock.now
        part.process.signal(SIGCONT)
        return try await recover(
            fault,
            part.name,
            "stood still for \(fault.length.tenths) s",
            since: moment,
            through: isWorker ? .link(part.link) : .upstream(part.name)
        )
    }

    // MARK: - PostgreSQL

    private func hitDatabase(_ fault: PlannedFault) async throws -> FaultRecord {
        let database = farm.database
        var detail = ""
        var moment = ContinuousClock.now
        switch fault.kind {
        case .killDatabase:
            try await database.crash()
            detail = "killed with its sessions, and started again"
        case .restartDatabase:
            let isOrderly = fault.pick(2) == 0
            if isOrderly { try await database.stop() } else { try await database.stopAtOnce() }
            detail = isOrderly ? "restarted" : "restarted without a checkpoint"
        case .stopDatabase:
            database.freeze()
            try await Task.sleep(for: .seconds(fault.length))
            moment = .now
            database.thaw()
            detail = "stood still for \(fault.length.tenths) s"
        default:
            let isOrderly = fault.pick(2) == 0
            if isOrderly { try await database.stop() } else { try await database.stopAtOnce() }
            let away = max(fault.length, farm.shape.lease.inSeconds + 1)
            try await Task.sleep(for: .seconds(away))
            detail = "away for \(away.tenths) s"
            moment = .now
        }
        if fault.kind != .stopDatabase { try await database.start() }
        return try await recover(fault, "postgres", detail, since: moment, through: .anyDelivery)
    }

    // MARK: - Recovery

    /// What a recovery is seen by.
    enum Way {
        /// A task or a picture of one worker.
        case link(String)
        /// A task or a picture by one coordinator.
        case upstream(String)
        /// A picture of anybody.
        case anyDelivery
    }

    func recover(
        _ fault: PlannedFault,
        _ part: String,
        _ detail: String,
        since moment: ContinuousClock.Instant,
        through way: Way
    ) async throws -> FaultRecord {
        try await recover(fault.kind.rawValue, part, detail, since: moment, through: way)
    }

    /// Waits for the first task or picture through what was hit.
    func recover(
        _ kind: String,
        _ part: String,
        _ detail: String,
        since moment: ContinuousClock.Instant,
        through way: Way
    ) async throws -> FaultRecord {
        var record = FaultRecord(kind: kind, part: part, detail: detail)
        while ContinuousClock.now - moment < Self.patience {
            let signal = farm.proxy.firstSignal(since: moment) { signal in
                switch way {
                case .link(let link): signal.link == link
                case .upstream(let upstream): signal.upstream == upstream
                case .anyDelivery: signal.kind == .delivered
                }
            }
            if let signal {
                record.recoverySeconds = (signal.instant - moment).inSeconds
                return record
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        log.find(
            Finding(
                name: "not-recovered",
                detail:
                    "\(kind), \(detail): nothing came through \(part) within \(Self.patience)\n\(farm.logs)"
            )
        )
        return record
    }
}
