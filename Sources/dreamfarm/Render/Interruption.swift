import Glibc
import Synchronization

/// Whether Ctrl-C was pressed.
///
/// The first press stops at the next step, a second one at once.
struct Interruption {
    /// The user asked to stop.
    struct Interrupted: Error, CustomStringConvertible {
        var description: String { "interrupted: no picture was written for the unfinished seed" }
    }

    private static let isRequested = Atomic<Bool>(false)

    /// Begins to listen.
    init() {
        signal(SIGINT) { _ in
            Interruption.isRequested.store(true, ordering: .relaxed)
            signal(SIGINT, SIG_DFL)
        }
    }

    /// Throws once it was pressed.
    func check() throws(Interrupted) {
        if Interruption.isRequested.load(ordering: .relaxed) { throw Interrupted() }
    }
}
