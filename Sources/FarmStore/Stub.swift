import FarmModel
import FoundationEssentials
import Postgres
struct EndingLease { let task: TaskID }
extension FarmStore {
    func lockLeases(of tasks: [TaskID], on connection: PostgresConnection) async throws -> [EndingLease] { [] }
    func conclude(_ ends: [(EndingLease, AttemptEnd)], on connection: PostgresConnection) async throws -> [AttemptVerdict] { [] }
    func queueTasks(_ tasks: [TaskID], restUntil: Date?, on connection: PostgresConnection) async throws {}
}
extension FarmStoreConfiguration { var chargeHalfLife: Duration { .seconds(3600) } }
