import BlobStore
import Dispatch
import FarmModel
import Imaging
import Synchronization

/// Whether reference files are pictures, and how large; each blob is decoded once.
final class PictureCheck: Sendable {
    /// What was found of a blob.
    enum Finding: Sendable {
        case picture(PixelSize)
        /// Why it is none.
        case broken(String)
    }

    /// The largest reference that is read, in bytes.
    private static let largest: Int64 = 256 << 20
    private static let capacity = 10_000

    private let blobs: any BlobStorage
    private let found = Mutex<[BlobDigest: Finding]>([:])
    /// Decoding is off the cooperative pool, one picture at a time.
    private let queue = DispatchQueue(label: "dreamfarm.pictures")

    init(blobs: any BlobStorage) {
        self.blobs = blobs
    }

    /// Decodes the blob `digest`, which is in the store.
    ///
    /// - Parameters:
    ///   - digest: The blob.
    ///   - name: What it is called in the finding.
    /// - Returns: Its size as it is seen, or why it is no picture.
    /// - Throws: `BlobStoreError` where it cannot be read.
    func finding(of digest: BlobDigest, name: String) async throws -> Finding {
        if let known = found.withLock({ $0[digest] }) { return known }
        let data = try await blobs.read(digest, limit: Self.largest)
        let finding: Finding = await withCheckedContinuation { continuation in
            queue.async {
                do {
                    let image = try ImageDecoder().decode([UInt8](data), name: name)
                    continuation.resume(
                        returning: .picture(PixelSize(width: image.width, height: image.height))
                    )
                } catch {
                    continuation.resume(returning: .broken("\(error)"))
                }
            }
        }
        found.withLock { found in
            if found.count >= Self.capacity { found.removeAll() }
            found[digest] = finding
        }
        return finding
    }
}
