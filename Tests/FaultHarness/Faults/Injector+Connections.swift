import FarmModel
import Postgres

extension Injector {
    /// Does to connections what networks do: between a worker and the coordinators, or a coordinator and PostgreSQL.
    func hitConnections(_ fault: PlannedFault) async throws -> FaultRecord {
        let isOfRequests = fault.kind == .lostAnswers || fault.kind == .doubledRequests
        // A third of what can be done to bytes is done to those of the database.
        if !isOfRequests, fault.pick(3, 1) == 0 {
            let part = farm.coordinators[fault.pick(farm.coordinators.count)]
            return try await hit(part.link, "\(part.name) to postgres", .upstream(part.name), fault)
        }
        let part = farm.workers[fault.pick(farm.workers.count)]
        return try await hit(part.link, "\(part.name) to the coordinators", .link(part.link), fault)
    }

    private func hit(
        _ link: String,
        _ part: String,
        _ way: Way,
        _ fault: PlannedFault
    ) async throws -> FaultRecord {
        let proxy = farm.proxy
        var detail = ""
        switch fault.kind {
        case .droppedConnections:
            proxy.set(.held, of: link)
            try await Task.sleep(for: .seconds(fault.length))
            // What was on its way comes late, or its connections turn out to be gone.
            let isLost = fault.pick(2, 2) == 0
            if isLost { proxy.resetConnections(of: link) }
            proxy.set(.open, of: link)
            detail =
                "nothing passes for \(fault.length.tenths) s, what was sent \(isLost ? "is lost" : "comes late")"
        case .slowConnections:
            let delay = 50 + fault.pick(8, 2) * 50
            proxy.set(.slow(delay), of: link)
            try await Task.sleep(for: .seconds(fault.length))
            proxy.set(.open, of: link)
            detail = "\(delay) ms late each way for \(fault.length.tenths) s"
        case .brokenConnections:
            let isHalf = fault.pick(2, 2) == 0
            let count =
                isHalf ? proxy.halfCloseConnections(of: link) : proxy.resetConnections(of: link)
            detail = "\(count) connections \(isHalf ? "half closed" : "reset")"
        case .lostAnswers: detail = try await loseAnswers(1 + fault.pick(3, 2), link)
        default:
            let delay: Duration? =
                fault.pick(2, 2) == 0 ? nil : .milliseconds(200 + fault.pick(10, 3) * 100)
            detail = try await double(1 + fault.pick(3, 4), link, delay)
        }
        return try await recover(fault, part, detail, since: .now, through: way)
    }

    private func loseAnswers(_ count: Int, _ link: String) async throws -> String {
        farm.proxy.loseAnswers(count, of: link)
        let lost = try await made(count, link)
        farm.proxy.loseAnswers(0, of: link)
        return "\(lost) answers lost"
    }

    private func double(_ count: Int, _ link: String, _ delay: Duration?) async throws -> String {
        farm.proxy.doubleRequests(count, of: link, after: delay)
        let doubled = try await made(count, link)
        farm.proxy.doubleRequests(0, of: link, after: nil)
        return "\(doubled) requests twice, \(delay.map { "\($0.inSeconds) s later" } ?? "at once")"
    }

    /// Waits until a link has had so many faults that come with its requests.
    private func made(_ count: Int, _ link: String) async throws -> Int {
        let deadline = ContinuousClock.now + Self.patience
        var made = farm.proxy.takeMade(of: link)
        while made < count, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(10))
            made += farm.proxy.takeMade(of: link)
        }
        if made == 0 { log.find(Finding(name: "no-fault", detail: "\(link) made no request")) }
        return made
    }

    // MARK: - Disk and clock

    /// Fills the disk under a coordinator's blobs.
    func fillDisk(_ fault: PlannedFault) async throws -> FaultRecord {
        let part = farm.coordinators[fault.pick(farm.coordinators.count)]
        let before = try part.control.refusedWrites
        try part.control.setDiskFull(true)
        try await Task.sleep(for: .seconds(fault.length))
        // It is none until something was refused.
        try await farm.wait("\(part.name) writes a blob", within: Self.patience) {
            try part.control.refusedWrites > before
        }
        try part.control.setDiskFull(false)
        let refused = try part.control.refusedWrites - before
        let moment = ContinuousClock.now
        return try await recover(
            fault,
            part.name,
            "its blobs' disk full for \(fault.length.tenths) s, \(refused) writes refused",
            since: moment,
            through: .upstream(part.name)
        )
    }

    /// Sets the time of day of a part forward or back, for good or for a while.
    func moveClock(_ fault: PlannedFault) async throws -> FaultRecord {
        let parts = farm.coordinators + [farm.workers[fault.pick(farm.workers.count, 1)]]
        let place = fault.pick(parts.count + 1)
        let isDatabase = place == parts.count
        let control = isDatabase ? farm.database.control : parts[place].control
        let name = isDatabase ? "postgres" : parts[place].name
        let jump = [3600.0, -3600, 86_400, -86_400, 30, -30][fault.pick(6, 2)]
        let comesBack = fault.pick(2, 3) == 0
        let before = try control.shiftedReads
        try control.setClock(.seconds(jump))
        try await Task.sleep(for: .seconds(fault.length))
        try await farm.wait("\(name) looks at its clock", within: Self.patience) {
            try control.shiftedReads > before
        }
        if comesBack { try control.setClock(.zero) }
        let way: Way =
            isDatabase
            ? .anyDelivery : place < farm.coordinators.count ? .upstream(name) : .link(name)
        return try await recover(
            fault,
            name,
            "its clock set by \(Int(jump)) s"
                + (comesBack ? ", and back after \(fault.length.tenths) s" : ""),
            since: .now,
            through: way
        )
    }
}
