import FarmModel
import FarmStore

extension ClaimAnswer {
    /// Why there is no task, as workers are told.
    init(_ none: NoTask, isWaiting: Bool) {
        let pause: Double? = isWaiting ? nil : 1
        switch none {
        case .nothingWaits: self.init(reason: .noTask)
        case .notEligible(_, let detail): self.init(reason: .notEligible, detail: detail)
        case .workerState(let state):
            let reason: NoTaskReason =
                switch state {
                case .quarantined: .workerQuarantined
                case .asleep: .workerAsleep
                default: .workerDraining
                }
            self.init(reason: reason, retryAfterSeconds: 5)
        case .inGroup:
            self.init(
                reason: .inGroup,
                detail: "the worker is a member of a group or reserved for one, or not in the one "
                    + "that it claims for",
                retryAfterSeconds: 1
            )
        case .poolPaused: self.init(reason: .poolPaused, retryAfterSeconds: pause)
        case .farmPaused: self.init(reason: .farmPaused, retryAfterSeconds: pause)
        }
    }
}
