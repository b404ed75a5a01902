import Glibc

/// A thread that runs one function, and is to be joined once.
package struct LinkThread: Sendable {
    private let thread: pthread_t

    /// The function, on its way to the thread.
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Runs a function on a thread of its own.
    package init(_ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(run))
        let status = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            body.toOpaque()
        )
        precondition(status == 0, "the system has a thread left")
        self.thread = thread
    }

    /// Waits until the function has returned.
    package func join() {
        pthread_join(thread, nil)
    }
}
