import BlobStore
import FarmModel
import FarmStore
import Synchronization

/// Whether the blob store has room beyond its reserve, asked every few seconds at most.
final class BlobReserve: Sendable {
    private struct Finding {
        var at: ContinuousClock.Instant
        var space: FreeSpace?
    }

    private let blobs: any BlobStorage
    private let reserve: Double
    private let lifetime: Duration
    private let finding = Mutex<Finding?>(nil)

    /// A look at `blobs`, which keep the part `reserve` of their room free.
    init(blobs: any BlobStorage, reserve: Double, lifetime: Duration = .seconds(5)) {
        self.blobs = blobs
        self.reserve = reserve
        self.lifetime = lifetime
    }

    /// What is wrong, where the room is below the reserve.
    func shortage() async throws -> WaitingCause? {
        guard let space = try await space(), space.fraction < reserve else { return nil }
        return .blobStoreFull(
            freePercent: space.fraction * 100,
            reservePercent: reserve * 100
        )
    }

    /// The room as the store's answers to "why" take it; nil where the blob store does not know.
    func room() async throws -> BlobRoom? {
        try await space().map {
            BlobRoom(freePercent: $0.fraction * 100, reservePercent: reserve * 100)
        }
    }

    /// How many bytes are free; nil where the blob store does not know.
    func freeBytes() async throws -> Int64? { try await space()?.available }

    /// Refuses what would be stored, where the room is below the reserve.
    func check() async throws {
        if let shortage = try await shortage() {
            throw CoordinatorProblem(.blobStoreFull, shortage.sentence)
        }
    }

    private func space() async throws -> FreeSpace? {
        let now = ContinuousClock.now
        if let finding = finding.withLock({ $0 }), now - finding.at < lifetime {
            return finding.space
        }
        let space = try await blobs.freeSpace()
        finding.withLock { $0 = Finding(at: now, space: space) }
        return space
    }
}
