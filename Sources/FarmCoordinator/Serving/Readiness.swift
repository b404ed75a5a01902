import BlobStore
import FarmStore
import Synchronization

/// Whether the database and the blob store answer, asked at most once a second whoever asks.
final class Readiness: Sendable {
    private struct Answer {
        let task: Task<String?, Never>
        let at: ContinuousClock.Instant
    }

    private static let lifetime: Duration = .seconds(1)

    private let store: FarmStore
    private let blobs: any BlobStorage
    private let last = Mutex<Answer?>(nil)

    init(store: FarmStore, blobs: any BlobStorage) {
        self.store = store
        self.blobs = blobs
    }

    /// What keeps the coordinator from serving; nil where nothing does.
    func obstacle() async -> String? {
        let now = ContinuousClock.now
        let answer = last.withLock { last in
            if let last, now - last.at < Self.lifetime { return last }
            let answer = Answer(
                task: Task { [store, blobs] in await Self.ask(store, blobs) },
                at: now
            )
            last = answer
            return answer
        }
        return await answer.task.value
    }

    private static func ask(_ store: FarmStore, _ blobs: any BlobStorage) async -> String? {
        do {
            let expected = try await store.farmRecord().blobStoreID
            _ = try await blobs.probe(expecting: expected)
            return nil
        } catch let error as BlobStoreError {
            return error.description
        } catch {
            return "the database does not answer"
        }
    }
}
