#if DEBUG
import FoundationEssentials
#endif

/// What of a delivery has to be its lease's, so that a write after the lease's end changes nothing.
package enum DeliveryFence {
    private static let all = "task_id, attempt_id, epoch"

    #if DEBUG
    /// The variable that takes the fence out when it is `1`.
    ///
    /// The fault harness shows so that it would find a farm without one. Release builds have no
    /// such switch.
    package static let variable = "DREAMFARM_TEST_WITHOUT_FENCE"
    package static let isTakenOut = ProcessInfo.processInfo.environment[variable] == "1"

    static var columns: String { isTakenOut ? "task_id" : all }
    #else
    static var columns: String { all }
    #endif
}
