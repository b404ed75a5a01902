import FarmModel
import Postgres

// FarmModel's words of operations as parameters and columns.
extension TokenID: PostgresValue {}
extension TokenRole: PostgresValue {}
extension JoinKind: PostgresValue {}
extension ArtifactKey: PostgresValue {}
extension CancelMode: PostgresValue {}
extension DesiredWorkerState: PostgresValue {}
extension LogLevel: PostgresValue {}
extension BudgetPeriod: PostgresValue {}
extension BudgetAction: PostgresValue {}
