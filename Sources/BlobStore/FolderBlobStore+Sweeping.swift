package import FarmModel
package import FoundationEssentials
import Glibc

extension FolderBlobStore {
    package func remove(_ digest: BlobDigest) async throws {
        let paths = [path(of: digest), formerPath(of: digest)]
        try await FileLane.next().run {
            for path in paths {
                guard unlink(path) == 0 || errno == ENOENT else {
                    throw BlobStoreError.last(path, "cannot be removed")
                }
            }
        }
    }

    package func refresh(_ digest: BlobDigest) async throws -> Bool {
        let paths = [path(of: digest), formerPath(of: digest)]
        return try await FileLane.next().run {
            var isThere = false
            for path in paths {
                guard let status = try Self.status(path), status.st_mode & S_IFMT == S_IFREG else {
                    continue
                }
                if utimensat(AT_FDCWD, path, nil, AT_SYMLINK_NOFOLLOW) == 0 {
                    isThere = true
                } else if errno != ENOENT {
                    throw BlobStoreError.last(path, "its time cannot be set")
                }
            }
            return isThere
        }
    }

    package func remove(_ digest: BlobDigest, storedBefore moment: Date) async throws -> Bool {
        let paths = [path(of: digest), formerPath(of: digest)]
        let parent = parent(of: digest)
        return try await FileLane.next().run {
            try paths.count { try Self.remove($0, unfinishedIn: parent, storedBefore: moment) } > 0
        }
    }

    /// Removes the file at `path` where its time is before a moment; blocks.
    ///
    /// It is taken out of its place before the time counts: whoever refreshes it later finds that it
    /// is missing, and what was refreshed before is put back.
    private static func remove(
        _ path: String,
        unfinishedIn folder: String,
        storedBefore moment: Date
    ) throws(BlobStoreError) -> Bool {
        guard let status = try status(path), status.modification < moment else { return false }
        let aside = "\(folder)/\(unfinished)\(UUID().uuidString)"
        guard rename(path, aside) == 0 else {
            if errno == ENOENT { return false }
            throw .last(path, "cannot be removed")
        }
        guard let status = try self.status(aside), status.modification < moment else {
            guard rename(aside, path) == 0 else { throw .last(path, "cannot be put back") }
            return false
        }
        guard unlink(aside) == 0 else { throw .last(aside, "cannot be removed") }
        return true
    }

    package func entries() -> AsyncThrowingStream<BlobEntry, any Error> {
        let listing = FolderListing(folder: folder)
        let lane = FileLane.next()
        return AsyncThrowingStream { try await lane.run { try listing.next() } }
    }

    package func removeAbandoned(olderThan age: Duration) async throws -> Int {
        let limit = time(nil) - Int(age.components.seconds)
        let (folder, aside) = (folder, aside)
        return try await FileLane.next().run {
            let begun = try FolderListing.names(in: aside).map { "\(aside)/\($0)" }
            let beside = try FolderListing.digits(in: folder).flatMap { digits in
                try FolderListing.names(in: "\(folder)/\(digits)")
                    .filter { $0.hasPrefix(Self.unfinished) }
                    .map { "\(folder)/\(digits)/\($0)" }
            }
            return try (begun + beside).count { path in
                guard let status = try Self.status(path), status.st_mtim.tv_sec < limit else {
                    return false
                }
                return unlink(path) == 0
            }
        }
    }
}

extension stat {
    /// When the file's bytes, or its time by itself, were changed last.
    var modification: Date {
        Date(timeIntervalSince1970: Double(st_mtim.tv_sec) + Double(st_mtim.tv_nsec) / 1e9)
    }
}
