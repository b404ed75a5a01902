package import FarmModel
package import FoundationEssentials

extension S3BlobStore {
    /// Up to which size a store copies an object whole.
    private static let wholeCopy: Int64 = 5 << 30
    /// How young a blob may be to be left as it is: a good deal less than a sweep's grace.
    private static let youth: Duration = .seconds(3600)

    /// An object's time is that of its last copy, onto itself too.
    package func refresh(_ digest: BlobDigest) async throws -> Bool {
        guard let object = try await object(of: digest) else { return false }
        let oldest = Date(timeIntervalSinceNow: -Double(Self.youth.components.seconds))
        guard object.storedAt < oldest else { return true }
        do {
            if object.size <= Self.wholeCopy {
                try await copy(
                    object.key,
                    to: object.key,
                    // Without a change of this kind a copy onto itself is refused.
                    headers: [(name: "x-amz-metadata-directive", value: "REPLACE")]
                )
            } else {
                try await copyInParts(object.key, size: object.size)
            }
            return true
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchKey" {
            return false
        }
    }

    /// The time is looked at just before the removal; no store removes by it.
    package func remove(_ digest: BlobDigest, storedBefore moment: Date) async throws -> Bool {
        guard let object = try await object(of: digest), object.storedAt < moment else {
            return false
        }
        try await remove(key: object.key)
        return true
    }

    /// The blob as the store lists it.
    private func object(of digest: BlobDigest) async throws -> S3Listing.Object? {
        let key = key(of: digest)
        return try await S3Listing(connection, prefix: key).next().flatMap {
            $0.key == key ? $0 : nil
        }
    }

    package func entries() -> AsyncThrowingStream<BlobEntry, any Error> {
        let listing = S3Listing(connection, prefix: prefix.isEmpty ? "" : prefix + "/")
        return AsyncThrowingStream {
            while let object = try await listing.next() {
                // The address is the digest's last part; the probe and what lies aside have none.
                guard let name = object.key.split(separator: "/").last,
                    let digest = BlobDigest(rawValue: String(name)), object.key == key(of: digest)
                else { continue }
                return BlobEntry(digest: digest, size: object.size, storedAt: object.storedAt)
            }
            return nil
        }
    }

    package func removeAbandoned(olderThan age: Duration) async throws -> Int {
        let limit = Date(timeIntervalSinceNow: -Double(age.components.seconds))
        var count = 0
        let aside = S3Listing(connection, prefix: key("incoming/"))
        while let object = try await aside.next() {
            guard object.storedAt < limit else { continue }
            try await remove(key: object.key)
            count += 1
        }
        let start = prefix.isEmpty ? "" : prefix + "/"
        for upload in try await S3Listing.uploads(connection, prefix: start)
        where upload.begunAt < limit {
            try await abort(upload.id, key: upload.key)
            count += 1
        }
        return count
    }

    /// Forgets an upload in parts that is not complete.
    func abort(_ upload: String, key: String) async throws {
        do {
            _ = try await connection.send(
                .init(
                    operation: "AbortMultipartUpload",
                    method: "DELETE",
                    key: key,
                    query: [(name: "uploadId", value: upload)]
                )
            )
        } catch BlobStoreError.s3(let failure) where failure.status == 404 {
            return
        }
    }
}
