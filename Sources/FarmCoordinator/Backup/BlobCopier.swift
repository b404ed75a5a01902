import BlobStore
import FarmModel

/// Copies blobs from one store to another, several at a time; or only looks for them.
struct BlobCopier: Sendable {
    /// What became of a blob, with its size in bytes.
    enum Outcome: Sendable {
        case copied(Int64)
        /// The target had it before, or there is no target.
        case present(Int64)
        /// The source does not have it, or has other bytes at its address.
        case missing

        var size: Int64? {
            switch self {
            case .copied(let size), .present(let size): size
            case .missing: nil
            }
        }
    }

    /// How many blobs are under way at one time.
    private static let width = 8

    let source: any BlobStorage
    /// Where they go; nil where they are only looked for.
    let target: (any BlobStorage)?
    /// Whether a blob that is only looked for, or that the target has, is read and verified.
    var verifies = false

    /// Copies the blobs and tells what became of each, in any order.
    func copy(
        _ digests: [BlobDigest],
        _ tell: (BlobDigest, Outcome) throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (BlobDigest, Outcome).self) { group in
            for (index, digest) in digests.enumerated() {
                if index >= Self.width, let (done, outcome) = try await group.next() {
                    try tell(done, outcome)
                }
                group.addTask { (digest, try await copy(digest)) }
            }
            for try await (done, outcome) in group { try tell(done, outcome) }
        }
    }

    private func copy(_ digest: BlobDigest) async throws -> Outcome {
        do {
            guard let target else {
                guard let size = try await source.size(of: digest) else { return .missing }
                if verifies { try await read(digest, of: source) }
                return .present(size)
            }
            if let size = try await presence(of: digest, in: target) { return .present(size) }
            let content = try await source.open(digest)
            return .copied(try await target.store(content, expecting: digest).size)
        } catch BlobStoreError.missing, BlobStoreError.damaged, BlobStoreError.digestMismatch {
            return .missing
        }
    }

    /// The size of the target's copy; nil where there is none, or one that was damaged, which is removed.
    private func presence(of digest: BlobDigest, in target: any BlobStorage) async throws -> Int64?
    {
        guard let size = try await target.size(of: digest) else { return nil }
        guard verifies else { return size }
        do {
            try await read(digest, of: target)
            return size
        } catch BlobStoreError.missing, BlobStoreError.damaged, BlobStoreError.digestMismatch {
            try await target.remove(digest)
            return nil
        }
    }

    private func read(_ digest: BlobDigest, of store: any BlobStorage) async throws {
        for try await _ in try await store.open(digest) {}
    }
}
