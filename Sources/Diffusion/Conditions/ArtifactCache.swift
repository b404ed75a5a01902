import Synchronization
import Tensors

/// Why bytes are not the artifact that they are taken for.
package enum ArtifactError: Error, Equatable, CustomStringConvertible {
    /// The bytes are something else.
    case notAnArtifact(key: ArtifactKey)
    /// The bytes are of a version that is not known here.
    case version(key: ArtifactKey, version: String)
    /// The bytes end early.
    case truncated(key: ArtifactKey)
    /// Something in the bytes was changed.
    case damaged(key: ArtifactKey)
    /// The bytes are an artifact under another key.
    case otherKey(key: ArtifactKey)
    /// The matrices do not fit the model.
    case shape(key: ArtifactKey)

    package var description: String {
        let (key, problem) =
            switch self {
            case .notAnArtifact(let key): (key, "is no artifact")
            case .version(let key, let version): (key, "has the unknown version '\(version)'")
            case .truncated(let key): (key, "is truncated")
            case .damaged(let key): (key, "is damaged: its digest does not fit")
            case .otherKey(let key): (key, "is another artifact")
            case .shape(let key): (key, "has another shape than the model needs")
            }
        return "the \(key.kind) artifact \(key) \(problem); the condition is computed anew"
    }

    init(_ error: SealError, key: ArtifactKey) {
        switch error {
        case .otherKind: self = .notAnArtifact(key: key)
        case .version(let version): self = .version(key: key, version: version)
        case .truncated: self = .truncated(key: key)
        case .damaged: self = .damaged(key: key)
        }
    }
}

/// What a cache of conditions did since its start.
package struct ArtifactTally: Sendable, Equatable {
    /// Conditions that were computed.
    package var computed = 0
    /// Conditions that a picture needed and that were there.
    package var found = 0
    /// Artifacts that were taken over from elsewhere.
    package var adopted = 0
    /// Artifacts that were offered and were not what they should be.
    package var refused = 0
    /// Conditions that gave way to others.
    package var evicted = 0
    /// Bytes of the conditions that are held.
    package var bytes = 0
}

/// Computed conditions by their keys, bounded by their bytes; what was used longest ago goes first.
///
/// It may be used on any thread while a pipeline renders with it. Matrices in it never change.
package final class ArtifactCache: Sendable {
    private struct Entry {
        let tensors: [String: Tensor]
        let bytes: Int
        var lastUse: Int
    }

    private struct State {
        var entries: [ArtifactKey: Entry] = [:]
        var tally = ArtifactTally()
        var limit: Int
        var clock = 0

        /// Lets entries go until what is held is within the limit.
        mutating func shrink() {
            while tally.bytes > limit,
                let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                entries[oldest.key] = nil
                tally.bytes -= oldest.value.bytes
                tally.evicted += 1
            }
        }

        mutating func insert(_ tensors: [String: Tensor], _ key: ArtifactKey) {
            let bytes = tensors.values.reduce(0) { $0 + 4 * $1.rows * $1.columns }
            // what is larger than all there is room for would only drive the others out
            guard entries[key] == nil, bytes <= limit else { return }
            clock += 1
            entries[key] = Entry(tensors: tensors, bytes: bytes, lastUse: clock)
            tally.bytes += bytes
            shrink()
        }

        mutating func remove(_ key: ArtifactKey) {
            tally.bytes -= entries.removeValue(forKey: key)?.bytes ?? 0
        }
    }

    private let state: Mutex<State>

    private static let kind = "artifact"

    /// Makes an empty cache.
    ///
    /// - Parameter limit: Bytes of conditions that are held at most.
    package init(limit: Int = 256 << 20) {
        state = Mutex(State(limit: limit))
    }

    /// Bytes of conditions that are held at most.
    package var limit: Int {
        get { state.withLock { $0.limit } }
        set {
            state.withLock {
                $0.limit = newValue
                $0.shrink()
            }
        }
    }

    /// What was done since the start.
    package var tally: ArtifactTally { state.withLock { $0.tally } }

    /// Whether a condition is held now.
    package func holds(_ key: ArtifactKey) -> Bool {
        state.withLock { $0.entries[key] != nil }
    }

    /// The sealed bytes of a condition that is held, or nil.
    ///
    /// - Parameter key: The condition.
    /// - Returns: Bytes that `adopt` takes, here or elsewhere in the numeric class.
    /// - Throws: What encoding throws.
    package func bytes(of key: ArtifactKey) throws -> [UInt8]? {
        guard let tensors = state.withLock({ $0.entries[key]?.tensors }) else { return nil }
        return try SealedTensors(
            kind: Self.kind,
            fields: ["key": key.digest, "condition": key.kind.rawValue],
            tensors: tensors
        ).bytes()
    }

    /// Takes over a condition that was computed before, so that it need not be computed again.
    ///
    /// - Parameters:
    ///   - bytes: What `bytes(of:)` gave for the same key.
    ///   - key: The condition.
    /// - Throws: `ArtifactError` when the bytes are not that condition whole; then nothing is
    ///   taken over.
    package func adopt(_ bytes: [UInt8], as key: ArtifactKey) throws(ArtifactError) {
        do throws(ArtifactError) {
            let tensors = try Self.open(bytes, key)
            state.withLock {
                $0.insert(tensors, key)
                $0.tally.adopted += 1
            }
        } catch {
            state.withLock { $0.tally.refused += 1 }
            throw error
        }
    }

    private static func open(
        _ bytes: [UInt8],
        _ key: ArtifactKey
    ) throws(ArtifactError) -> [String: Tensor] {
        let sealed: SealedTensors
        do {
            sealed = try SealedTensors(bytes, kind: kind)
        } catch {
            throw ArtifactError(error, key: key)
        }
        guard sealed.fields["key"] == key.digest else { throw .otherKey(key: key) }
        guard sealed.tensors.keys.sorted() == key.kind.names else { throw .shape(key: key) }
        return sealed.tensors
    }

    // MARK: - For the pipeline

    /// The matrices of a condition that a picture needs now, or nil when it is to be computed.
    ///
    /// - Parameters:
    ///   - key: The condition.
    ///   - shapes: Rows and columns of each matrix; what differs is dropped.
    ///   - refuse: Told why something was dropped.
    /// - Returns: The matrices by name, or nil when none are held.
    func find(
        _ key: ArtifactKey,
        shapes: [String: [Int]],
        refuse: (ArtifactError) -> Void
    ) -> [String: Tensor]? {
        enum Finding {
            case held([String: Tensor])
            case dropped
        }
        let finding = state.withLock { state -> Finding? in
            guard let entry = state.entries[key] else { return nil }
            guard entry.tensors.mapValues({ [$0.rows, $0.columns] }) == shapes else {
                state.remove(key)
                state.tally.refused += 1
                return .dropped
            }
            state.clock += 1
            state.entries[key]?.lastUse = state.clock
            state.tally.found += 1
            return .held(entry.tensors)
        }
        switch finding {
        case .held(let tensors): return tensors
        case .dropped: refuse(.shape(key: key))
        case nil: break
        }
        return nil
    }

    /// Keeps a condition that was computed.
    func keep(_ tensors: [String: Tensor], as key: ArtifactKey) {
        state.withLock {
            $0.tally.computed += 1
            $0.insert(tensors, key)
        }
    }
}
