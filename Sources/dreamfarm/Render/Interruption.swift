import Glibc
import Synchronization

/// Whether Ctrl-C was pressed, or the process was asked to end.
///
/// The first press stops at the next step, a second one at once.
struct Interruption {
    /// The user asked to stop.
    struct Interrupted: Error, CustomStringConvertible {
        var description: String { "interrupted: what was not finished has not been written" }
    }

    private static let isRequested = Atomic<Bool>(false)

    /// Begins to listen.
    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                Interruption.isRequested.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }

    /// Throws once it was pressed.
    func check() throws(Interrupted) {
        if Interruption.isRequested.load(ordering: .relaxed) { throw Interrupted() }
    }
}
