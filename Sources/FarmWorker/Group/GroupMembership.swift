import Collectives
package import FarmModel
import FoundationEssentials
import Logging
import Tensors

/// Makes a worker what the coordinator wants it to be: a member of a group, or a worker alone.
///
/// A member finishes what it holds, and meanwhile takes what the coordinator gives it for the time
/// until the others have done the same; it reads its part of the model, tells where it is reached,
/// connects to the others, and stays until the epoch is over: because a rank is lost, or because the
/// coordinator says so. The part stays in memory from one epoch to the next.
struct GroupMembership: Sendable {
    let worker: WorkerContext
    let renderer: GroupRenderer
    let settings: GroupSettings

    private var seat: GroupSeat { worker.seat }

    /// Follows the coordinator until it is cancelled; a worker that drains takes no seat.
    func run() async throws {
        var current: GroupSeat.Seat?
        var failures = 0
        while true {
            let order = try await seat.order(otherThan: current)
            await renderer.disband()
            current = order.map(GroupSeat.Seat.init)
            guard let order, let place = current, worker.desk.drain == nil else {
                try await standAlone()
                continue
            }
            seat.sit(place, mayFill: renderer.holdsWhole)
            worker.logger.notice("Takes a seat", metadata: metadata(of: order))
            let before = failures
            let outcome = try await withThrowingTaskGroup(of: Outcome.self) { group in
                group.addTask { try await take(order, place, after: before) }
                group.addTask {
                    _ = try await seat.order(otherThan: place)
                    return .recalled
                }
                defer { group.cancelAll() }
                return try await group.next() ?? .recalled
            }
            switch outcome {
            case .recalled: break
            case .broke(let wasReady): failures = wasReady ? 0 : failures + 1
            }
        }
    }

    /// How a seat ended.
    private enum Outcome: Sendable {
        /// The coordinator wants something else.
        case recalled
        /// The group broke, once it was ready or before.
        case broke(wasReady: Bool)
    }

    /// Holds the whole model again, where it fits; takes no tasks until it does.
    private func standAlone() async throws {
        seat.interrupt()
        worker.ledger.forgetSpeed()
        var pause = 1
        while settings.rendersAlone, worker.desk.drain == nil {
            do {
                try await renderer.load(.whole)
                break
            } catch {
                try Task.checkCancellation()
                worker.logger.error("The model cannot be read", metadata: ["error": "\(error)"])
                try await worker.clock.sleep(for: .seconds(pause))
                pause = min(60, 2 * pause)
            }
        }
        if !settings.rendersAlone { renderer.unload() }
        seat.sit(nil)
    }

    /// Sits in one epoch of a group until it is over.
    private func take(
        _ order: GroupOrder,
        _ place: GroupSeat.Seat,
        after failures: Int
    ) async throws -> Outcome {
        var wasReady = false
        do {
            // a seat that failed before is not taken again at once
            try await worker.clock.sleep(for: .seconds(failures == 0 ? 0 : 1 << min(failures, 6)))
            try await seat.mayBegin(place)
            try await worker.desk.holdsNothing()
            seat.say(.loading)
            try await renderer.load(Shard(rank: order.rank, size: order.size))
            let link = try GroupLink(
                rank: order.rank,
                size: order.size,
                interface: settings.interface,
                silence: settings.silence / .seconds(1)
            )
            defer { link.close() }
            seat.say(.waiting) { $0.address = link.address }
            let addresses = try await seat.addresses(of: place)
            seat.say(.connecting)
            let begin = ContinuousClock.now
            try await connect(link, to: addresses, order)
            let seconds = (ContinuousClock.now - begin) / .seconds(1)
            worker.ledger.forgetSpeed()
            let speed = try await renderer.join(link, connectedIn: seconds)
            let numericClass = renderer.groupClass
            seat.say(.ready) { standing in
                standing.speed = speed
                standing.numericClass = numericClass
            }
            wasReady = true
            worker.logger.notice("The group is connected", metadata: metadata(of: order))
            try await watch(link)
        } catch {
            try Task.checkCancellation()
            worker.logger.warning(
                "The group broke",
                metadata: metadata(of: order).merging(["error": "\(error)"]) { $1 }
            )
            await renderer.disband()
            seat.say(.broken) { standing in
                standing.reason = "\(error)"
                standing.lostRank = (error as? LinkError)?.lostRank
            }
        }
        return .broke(wasReady: wasReady)
    }

    /// Connects to all others; a cancellation closes the link.
    private func connect(
        _ link: GroupLink,
        to addresses: [Data],
        _ order: GroupOrder
    ) async throws {
        let timeout = settings.connectTimeout / .seconds(1)
        try await withTaskCancellationHandler {
            try await renderer.linking.run {
                try link.connect(
                    addresses: addresses,
                    secret: order.secret,
                    epoch: UInt64(order.epoch),
                    group: order.group.description,
                    timeout: timeout
                )
            }
        } onCancel: {
            link.close()
        }
    }

    /// Returns never: throws once the link has failed.
    private func watch(_ link: GroupLink) async throws {
        while true {
            if let failure = renderer.failure ?? link.failure { throw failure }
            try await worker.clock.sleep(for: .milliseconds(100))
        }
    }

    private func metadata(of order: GroupOrder) -> Logger.Metadata {
        [
            "group": "\(order.name)", "epoch": "\(order.epoch)",
            "rank": "\(order.rank) of \(order.size)",
        ]
    }
}

/// How a worker takes part in groups.
package struct GroupSettings: Sendable {
    /// The group that it belongs to and no other; nil for any.
    package var offer: GroupOffer
    /// The interface over which the other members reach it, by its name or one of its addresses.
    package var interface: String
    /// Whether it holds the whole model while it is in no group.
    package var rendersAlone = false
    /// After how long without a sign of life another member counts as lost.
    package var silence = Duration.seconds(8)
    /// How long connecting to all others may take.
    package var connectTimeout = Duration.seconds(20)

    /// Checks where the members are to reach this one.
    ///
    /// - Parameters:
    ///   - offer: The group that it belongs to.
    ///   - listen: An interface or address of this machine; nil for the one that leads to the
    ///     coordinator.
    ///   - coordinator: The coordinator's address, as `http://host:port`.
    /// - Throws: `LinkError` for an interface that is not there, or a host that is nowhere.
    package init(offer: GroupOffer, listen: String?, coordinator: String) throws {
        self.offer = offer
        if let listen {
            interface = try NetworkInterface.named(listen).address
        } else {
            let address = URL(string: coordinator)
            interface = try NetworkInterface.address(
                toward: address?.host() ?? "127.0.0.1",
                port: UInt16(clamping: address?.port ?? 80)
            )
        }
    }
}

extension LinkError {
    /// The rank that is not reached any more; nil where the failure is this one's own.
    fileprivate var lostRank: Int? {
        switch self {
        case .notConnected(let rank, _), .timedOut(let rank, _), .silent(let rank, _),
            .lost(let rank), .left(let rank):
            rank
        default: nil
        }
    }
}
