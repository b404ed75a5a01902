import CLibCurl
import Dispatch
import Glibc
import Synchronization

/// One thread that runs any number of exchanges over libcurl's multi interface, whose connections
/// they share.
///
/// Sendable because the inbox is locked and everything else belongs to the loop's thread.
final class CurlLoop: @unchecked Sendable {
    private enum Command {
        case start(CurlExchange, CurlExchange.Answer)
        case resume(CurlExchange)
        case cancel(CurlExchange, any Error)
        case stop
    }

    private let inbox = Mutex<[Command]>([])
    private let waker: Int32
    private let poller: Int32
    private let multi: UnsafeMutableRawPointer
    private var running: [UnsafeMutableRawPointer: CurlExchange] = [:]
    /// Handles of exchanges that are over, to be used again.
    private var spare: [UnsafeMutableRawPointer] = []
    /// When libcurl wants to be called, in nanoseconds of the monotonic clock.
    private var deadline: UInt64?
    private var isStopped = false

    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// Starts a loop, which runs until ``stop()``.
    static func start() throws(HTTPTransportError) -> CurlLoop {
        let loop = try CurlLoop()
        // A serial queue has a thread of its own, which the loop keeps.
        DispatchQueue(label: "dreamfarm.http").async { loop.run() }
        return loop
    }

    private init() throws(HTTPTransportError) {
        guard Self.isReady, let multi = curl_multi_init() else {
            throw .other(url: "libcurl", reason: "cannot start")
        }
        self.multi = multi
        waker = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard waker >= 0, poller >= 0 else {
            throw .other(url: "libcurl", reason: String(cString: strerror(errno)))
        }
        watch(waker, UInt32(EPOLLIN.rawValue))
    }

    deinit {
        for handle in spare { curl_easy_cleanup(handle) }
        curl_multi_cleanup(multi)
        close(waker)
        close(poller)
    }

    // MARK: - From any thread

    /// Begins an exchange, unless it was cancelled before.
    func start(_ exchange: CurlExchange, _ answer: CurlExchange.Answer) {
        send(.start(exchange, answer))
    }

    /// Goes on with an exchange that waited for bytes, or for room for them.
    func resume(_ exchange: CurlExchange) { send(.resume(exchange)) }

    /// Ends an exchange with `error` unless it is over.
    func cancel(_ exchange: CurlExchange, _ error: any Error = CancellationError()) {
        send(.cancel(exchange, error))
    }

    /// Ends the loop and every exchange on it.
    func stop() { send(.stop) }

    private func send(_ command: Command) {
        let isFirst = inbox.withLock { inbox in
            inbox.append(command)
            return inbox.count == 1
        }
        // Whoever filled the inbox before has woken the loop for this command too.
        if isFirst { eventfd_write(waker, 1) }
    }

    // MARK: - On the loop's thread

    private func run() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, 4096)
        _ = curl_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, context)
        _ = curl_multi_set_pointer(multi, CURLMOPT_TIMERDATA, context)
        _ = curl_multi_set_socket_callback(multi) { _, socket, action, context, isKnown in
            CurlLoop.at(context).follow(socket, action, isKnown: isKnown != nil)
            return 0
        }
        _ = curl_multi_set_timer_callback(multi) { _, milliseconds, context in
            let wait = UInt64(max(milliseconds, 0)) * 1_000_000
            CurlLoop.at(context).deadline = milliseconds < 0 ? nil : CurlLoop.now() + wait
            return 0
        }
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        while !isStopped {
            let count = epoll_wait(poller, &events, Int32(events.count), timeout)
            for event in events.prefix(Int(max(count, 0))) { handle(event) }
            if let deadline, deadline <= Self.now() {
                self.deadline = nil
                act(CURL_SOCKET_TIMEOUT, 0)
            }
            finishExchanges()
        }
        for exchange in running.values { end(exchange, throwing: CancellationError()) }
        for case .start(let exchange, let answer) in inbox.withLock({ $0 })
        where exchange.begin(answer) {
            exchange.finish(throwing: CancellationError())
        }
    }

    private static func at(_ context: UnsafeMutableRawPointer?) -> CurlLoop {
        guard let context else { preconditionFailure("libcurl passes the context it was given") }
        return Unmanaged<CurlLoop>.fromOpaque(context).takeUnretainedValue()
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// How long to wait for events, in milliseconds; -1 for as long as it takes.
    private var timeout: Int32 {
        guard let deadline else { return -1 }
        let now = Self.now()
        return deadline <= now ? 0 : Int32(clamping: (deadline - now + 999_999) / 1_000_000)
    }

    private func handle(_ event: epoll_event) {
        guard event.data.fd != waker else {
            var count = eventfd_t()
            eventfd_read(waker, &count)
            takeCommands()
            return
        }
        var actions: Int32 = 0
        if event.events & EPOLLIN.rawValue != 0 { actions |= CURL_CSELECT_IN }
        if event.events & EPOLLOUT.rawValue != 0 { actions |= CURL_CSELECT_OUT }
        if event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 {
            actions |= CURL_CSELECT_ERR
        }
        act(event.data.fd, actions)
    }

    private func act(_ socket: curl_socket_t, _ actions: Int32) {
        var count: Int32 = 0
        curl_multi_socket_action(multi, socket, actions, &count)
    }

    /// Watches a socket for what libcurl wants of it.
    private func follow(_ socket: curl_socket_t, _ action: Int32, isKnown: Bool) {
        guard action != CURL_POLL_REMOVE else {
            epoll_ctl(poller, EPOLL_CTL_DEL, socket, nil)
            return
        }
        var events: UInt32 = 0
        if action & CURL_POLL_IN != 0 { events |= EPOLLIN.rawValue }
        if action & CURL_POLL_OUT != 0 { events |= EPOLLOUT.rawValue }
        watch(socket, events, isKnown: isKnown)
        // Any pointer but nil says at the next call that the socket is being watched.
        if !isKnown { curl_multi_assign(multi, socket, multi) }
    }

    private func watch(_ descriptor: Int32, _ events: UInt32, isKnown: Bool = false) {
        var event = epoll_event()
        event.events = events
        event.data.fd = descriptor
        epoll_ctl(poller, isKnown ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event)
    }

    private func takeCommands() {
        let commands = inbox.withLock { inbox in
            defer { inbox = [] }
            return inbox
        }
        for command in commands {
            switch command {
            case .start(let exchange, let answer):
                if exchange.begin(answer) { begin(exchange) }
            case .resume(let exchange):
                if let handle = exchange.handle { curl_easy_pause(handle, CURLPAUSE_CONT) }
            case .cancel(let exchange, let error): end(exchange, throwing: error)
            case .stop: isStopped = true
            }
        }
    }

    private func begin(_ exchange: CurlExchange) {
        guard let handle = spare.popLast() ?? curl_easy_init() else {
            let error = HTTPTransportError.other(url: "libcurl", reason: "cannot start")
            return exchange.finish(throwing: error)
        }
        do {
            try exchange.prepare(handle)
            running[handle] = exchange
            curl_multi_add_handle(multi, handle)
        } catch {
            exchange.finish(throwing: error)
            recycle(handle)
        }
    }

    private func finishExchanges() {
        var rest: Int32 = 0
        while let message = curl_multi_info_read(multi, &rest) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle,
                let exchange = running[handle]
            else { continue }
            let code = message.pointee.data.result
            release(handle)
            exchange.finish(code)
            recycle(handle)
        }
    }

    private func end(_ exchange: CurlExchange, throwing error: any Error) {
        guard !exchange.isOver else { return }
        let handle = exchange.handle
        if let handle { release(handle) }
        exchange.finish(throwing: error)
        if let handle { recycle(handle) }
    }

    private func release(_ handle: UnsafeMutableRawPointer) {
        running[handle] = nil
        curl_multi_remove_handle(multi, handle)
    }

    private func recycle(_ handle: UnsafeMutableRawPointer) {
        guard spare.count < 256 else { return curl_easy_cleanup(handle) }
        curl_easy_reset(handle)
        spare.append(handle)
    }
}
