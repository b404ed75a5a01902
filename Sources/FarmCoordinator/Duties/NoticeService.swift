import FarmModel
import FarmStore
import Logging
import Postgres
import ServiceLifecycle

/// Hears what other coordinators and the database tell, and wakes who waits for it.
///
/// Notices are hints: what they tell of is found without them a little later. Those that come
/// within 50 ms are one.
struct NoticeService: Service {
    /// How long notices are gathered.
    private static let gathering: Duration = .milliseconds(50)

    let listener: PostgresListener
    let store: FarmStore
    let desk: FarmDesk
    let live: LiveFarm
    let logger: Logger

    /// The channels that are listened to.
    static let channels = ["farm_ready", "farm_event", "farm_control"]

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await listener.run() }
                group.addTask { await hear() }
                // Whichever ends, the other has nothing to do; a listener that is refused says why.
                defer { group.cancelAll() }
                for try await _ in group { group.cancelAll() }
            }
        }
    }

    private func hear() async {
        let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in wakes {
                    store.queueChanged()
                    desk.wake()
                    // What comes meanwhile stays in the stream, as one.
                    try? await Task.sleep(for: Self.gathering)
                }
            }
            for await event in listener.events {
                switch event {
                case .reconnected:
                    live.wake(nil)
                    wake.yield()
                case .notification(channel: "farm_event", let payload):
                    live.wake(JobID(payload))
                case .notification:
                    wake.yield()
                }
            }
            wake.finish()
            await group.waitForAll()
        }
    }
}
