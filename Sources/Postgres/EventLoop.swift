import CLinux
import Dispatch
import Glibc
import Synchronization

/// The one thread on which all connections work: it runs their actors and watches their sockets.
///
/// A statement that waits for the server holds no thread at all, and what many sockets have to say
/// is taken in one wake-up. Nothing that runs here may block.
final class EventLoop: SerialExecutor {
    /// The loop of this process; the error when the system gives no descriptors for one.
    static let shared = Result { () throws(DatabaseError) in try EventLoop() }

    private struct State {
        var jobs: [UnownedJob] = []
        var isAsleep = false
        var watches: [UInt64: SocketWatch] = [:]
        var lastWatch: UInt64 = 0
        /// Not later than the earliest time at which a watch is to be woken.
        var deadline: ContinuousClock.Instant?
    }

    /// The number under which the alarm's events come; watches are numbered from 1.
    private static let alarmNumber: UInt64 = 0

    private let poller: Int32
    /// An eventfd that ends a sleep, edge-triggered so that it need never be read.
    private let alarm: Int32
    private let state = Mutex(State())

    private init() throws(DatabaseError) {
        poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        alarm = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard poller >= 0, alarm >= 0,
            control(EPOLL_CTL_ADD, alarm, Self.alarmNumber, EPOLLIN.rawValue | EPOLLET.rawValue)
        else {
            throw DatabaseError(
                sqlState: nil,
                message: "no file descriptor is free for connections (raise `ulimit -n`)"
            )
        }
        DispatchQueue(label: "dreamfarm.postgres", qos: .userInitiated).async { [self] in
            run()
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isAsleep = state.withLock { state in
            state.jobs.append(job)
            defer { state.isAsleep = false }
            return state.isAsleep
        }
        if isAsleep { eventfd_write(alarm, 1) }
    }

    // MARK: - Watches

    /// Returns a watch over a socket, in force until it is removed.
    func watch(_ descriptor: Int32) -> SocketWatch {
        state.withLock { state in
            state.lastWatch += 1
            let watch = SocketWatch(self, number: state.lastWatch, descriptor: descriptor)
            state.watches[watch.number] = watch
            return watch
        }
    }

    /// Forgets a watch.
    ///
    /// Of a socket that was closed nothing is left to delete, and its number may be another's.
    func remove(_ watch: SocketWatch, isOpen: Bool) {
        _ = state.withLock { $0.watches.removeValue(forKey: watch.number) }
        if isOpen { _ = control(EPOLL_CTL_DEL, watch.descriptor, watch.number, 0) }
    }

    /// Sees to it that watches are looked at by the deadline; called on the loop's thread.
    func look(by deadline: ContinuousClock.Instant) {
        state.withLock { state in
            state.deadline = min(state.deadline ?? deadline, deadline)
        }
    }

    /// Adds, changes or deletes what is reported of a descriptor.
    func control(
        _ operation: Int32,
        _ descriptor: Int32,
        _ number: UInt64,
        _ events: UInt32
    ) -> Bool {
        var event = epoll_event(events: events, data: epoll_data_t(u64: number))
        return epoll_ctl(poller, operation, descriptor, &event) == 0
    }

    // MARK: - The thread

    private func run() {
        var jobs: [UnownedJob] = []
        var events = [epoll_event](repeating: epoll_event(), count: 128)
        while true {
            state.withLock { swap(&$0.jobs, &jobs) }
            let executor = asUnownedSerialExecutor()
            for job in jobs { job.runSynchronously(on: executor) }
            jobs.removeAll(keepingCapacity: true)
            let count = epoll_wait(poller, &events, Int32(events.count), sleepMilliseconds())
            wake(events.prefix(Int(max(0, count))))
        }
    }

    /// Returns how long the loop may sleep; -1 is until something happens.
    private func sleepMilliseconds() -> Int32 {
        state.withLock { state in
            guard state.jobs.isEmpty else { return 0 }
            state.isAsleep = true
            guard let deadline = state.deadline else { return -1 }
            // One more, so that the deadline has passed on waking.
            return Int32(clamping: ContinuousClock.now.duration(to: deadline).milliseconds + 1)
        }
    }

    private func wake(_ events: ArraySlice<epoll_event>) {
        let (ready, expired) = state.withLock { state in
            state.isAsleep = false
            let ready = events.compactMap { state.watches[$0.data.u64] }
            guard let deadline = state.deadline, deadline <= .now else {
                return (ready, [SocketWatch]())
            }
            state.deadline = nil
            return (ready, Array(state.watches.values))
        }
        for watch in ready { watch.report() }
        guard !expired.isEmpty else { return }
        let now = ContinuousClock.now
        for watch in expired {
            if let deadline = watch.expire(now) { look(by: deadline) }
        }
    }
}
