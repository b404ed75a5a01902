import BlobStore
import Dispatch
import FarmModel
import Imaging
import Synchronization

/// Pictures scaled down for lists of many; those made last are kept in memory.
final class Thumbnails: Sendable {
    /// The sides of the squares that a picture may be asked to fit into.
    static let sides = [128, 256, 512]

    /// The largest picture that is scaled, in bytes.
    private static let largest: Int64 = 64 << 20

    private struct Key: Hashable {
        var digest: BlobDigest
        var side: Int
    }

    private struct Entry {
        var bytes: [UInt8]
        var used: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var size = 0
        var uses: UInt64 = 0
    }

    private let blobs: any BlobStorage
    private let capacity: Int
    private let state = Mutex(State())
    /// Decoding is off the cooperative pool, one picture at a time.
    private let queue = DispatchQueue(label: "dreamfarm.thumbnails")

    /// Thumbnails of the pictures in `blobs`, of which `capacity` bytes are kept.
    init(blobs: any BlobStorage, capacity: Int = 64 << 20) {
        self.blobs = blobs
        self.capacity = capacity
    }

    /// How many bytes are kept.
    var size: Int { state.withLock { $0.size } }

    /// The picture `digest` as a JPEG whose longer side is at most `side`; it never grows.
    ///
    /// - Throws: ``CoordinatorProblem`` of kind not-found where it is not there or no picture.
    func thumbnail(of digest: BlobDigest, fitting side: Int) async throws -> [UInt8] {
        let key = Key(digest: digest, side: side)
        if let bytes = find(key) { return bytes }
        let data: [UInt8]
        do {
            data = [UInt8](try await blobs.read(digest, limit: Self.largest))
        } catch is BlobStoreError {
            throw CoordinatorProblem(.notFound, "the blob \(digest) cannot be read")
        }
        let made: Result<[UInt8], ImageError> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(ImageError) {
                    continuation.resume(returning: .success(try Self.scaled(data, to: side)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        guard case .success(let bytes) = made else {
            throw CoordinatorProblem(
                .notFound,
                "the blob \(digest) is no picture that can be shown"
            )
        }
        keep(bytes, key)
        return bytes
    }

    private static func scaled(_ data: [UInt8], to side: Int) throws(ImageError) -> [UInt8] {
        let image = try ImageDecoder().decode(data, name: "picture")
        let factor = min(1, Double(side) / Double(max(image.width, image.height)))
        let small = AreaResampler.resize(
            image,
            width: max(1, Int((Double(image.width) * factor).rounded())),
            height: max(1, Int((Double(image.height) * factor).rounded()))
        )
        return try JPEGEncoder.encode(small, quality: 85)
    }

    private func find(_ key: Key) -> [UInt8]? {
        state.withLock { state in
            state.uses += 1
            state.entries[key]?.used = state.uses
            return state.entries[key]?.bytes
        }
    }

    private func keep(_ bytes: [UInt8], _ key: Key) {
        state.withLock { state in
            state.uses += 1
            let entry = Entry(bytes: bytes, used: state.uses)
            let former = state.entries.updateValue(entry, forKey: key)
            state.size += bytes.count - (former?.bytes.count ?? 0)
            guard state.size > capacity else { return }
            // A tenth goes at once, so that the search for the oldest is rare.
            for (key, entry) in state.entries.sorted(by: { $0.value.used < $1.value.used }) {
                guard state.size > capacity / 10 * 9 else { break }
                state.entries[key] = nil
                state.size -= entry.bytes.count
            }
        }
    }
}
