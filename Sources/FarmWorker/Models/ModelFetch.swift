import Crypto
import Dispatch
import FarmClient
package import FarmModel
import FoundationEssentials
import Glibc

/// The calls that copying a model needs.
package protocol ModelSource: Sendable {
    /// A registered model with its files.
    func model(_ name: String) async throws -> ModelView

    /// Downloads a blob into the file at `path`, going on where an earlier download ended.
    func resumeBlob(_ digest: BlobDigest, to path: String) async throws
}

/// Copies a registered model's files from the farm's blob store into a folder.
///
/// Files come into a folder beside the target, are verified by their digests, and the folder gets
/// its name when all are there. What was copied before an interruption is not copied again.
package struct ModelFetch: Sendable {
    private let source: any ModelSource
    private let log: @Sendable (String) -> Void

    /// - Parameters:
    ///   - source: The farm.
    ///   - log: Receives a line for each file.
    package init(source: any ModelSource, log: @escaping @Sendable (String) -> Void) {
        self.source = source
        self.log = log
    }

    /// Copies a model.
    ///
    /// - Parameters:
    ///   - name: The model's registered name.
    ///   - folder: Where to; it may be there only if it is this model.
    /// - Throws: ``ModelFetchError``, and what the source throws.
    package func fetch(_ name: String, to folder: String) async throws {
        let model = try await source.model(name)
        let files = try Self.checked(model)
        if FileManager.default.fileExists(atPath: folder) {
            guard try await isComplete(folder, files) else {
                throw ModelFetchError.otherFolder(path: folder, model: name)
            }
            log("\(folder) is \(name) already")
            return
        }
        let partial = folder + ".partial"
        for (position, file) in files.enumerated() {
            log("\(position + 1) of \(files.count): \(file.path), \(ByteCount.text(file.size))")
            try await fetch(file, into: partial)
        }
        guard rename(partial, folder) == 0 else {
            throw ModelFetchError.unwritable(path: folder, reason: Self.lastError)
        }
        log("\(folder) is \(name)")
    }

    /// Sees to it that a folder is the model that the farm has under a name: copies it where there
    /// is no folder, and compares it where there is one.
    ///
    /// A folder stays as it is. What the farm has no files of, or cannot tell now, cannot be
    /// compared, which a line says: its pictures are registered under what it is, whatever its name.
    ///
    /// - Throws: ``ModelFetchError/otherFolder(path:model:)`` where a file is not the one that the
    ///   farm has; what ``fetch(_:to:)`` throws.
    package func ensure(_ name: String, at folder: String) async throws {
        guard FileManager.default.fileExists(atPath: folder) else {
            return try await fetch(name, to: folder)
        }
        let reason: String
        do {
            let model = try await source.model(name)
            if model.files?.isEmpty == false { return try await fetch(name, to: folder) }
            reason = "the farm has no files of the model '\(name)'"
        } catch let error as FarmClientError where error.kind == .notFound {
            reason = "the farm has no model '\(name)'"
        } catch FarmClientError.unreachable(let error) {
            reason = "\(error)"
        }
        log("\(folder) is used as it is, without a comparison: \(reason)")
    }

    private func fetch(_ file: ModelFileView, into folder: String) async throws {
        let path = folder + "/" + file.path
        if try await isWhole(path, file) { return }
        let parent = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        do {
            try FileManager.default.createDirectory(
                atPath: parent.joined(separator: "/"),
                withIntermediateDirectories: true
            )
        } catch {
            throw ModelFetchError.unwritable(path: folder, reason: "\(error)")
        }
        try checkRoom(folder, for: file, having: Self.size(of: path + Self.unfinished) ?? 0)
        if !(try await isWhole(path + Self.unfinished, file)) {
            try await source.resumeBlob(file.digest, to: path + Self.unfinished)
        }
        guard try await isWhole(path + Self.unfinished, file) else {
            unlink(path + Self.unfinished)
            throw ModelFetchError.damaged(path: file.path)
        }
        guard rename(path + Self.unfinished, path) == 0 else {
            throw ModelFetchError.unwritable(path: path, reason: Self.lastError)
        }
    }

    /// What the name of a file that is not yet whole ends with.
    private static let unfinished = ".unfinished"

    // MARK: - Checks

    /// The files of a model, none of which leaves its folder.
    private static func checked(_ model: ModelView) throws(ModelFetchError) -> [ModelFileView] {
        guard let files = model.files, !files.isEmpty else {
            throw .noFiles(model: model.name)
        }
        for file in files {
            let parts = file.path.split(separator: "/", omittingEmptySubsequences: false)
            let isInside = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
            guard isInside, !file.path.contains("\0") else {
                throw .outside(model: model.name, path: file.path)
            }
        }
        return files
    }

    private func checkRoom(
        _ folder: String,
        for file: ModelFileView,
        having present: Int64
    ) throws(ModelFetchError) {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return }
        let free = Int64(status.f_bavail) * Int64(status.f_frsize)
        guard free >= file.size - present else {
            throw .noRoom(path: folder, needed: file.size - present, free: free)
        }
    }

    private func isComplete(_ folder: String, _ files: [ModelFileView]) async throws -> Bool {
        for file in files {
            guard try await isWhole(folder + "/" + file.path, file) else { return false }
        }
        return true
    }

    /// Whether a file is there with its size and digest.
    private func isWhole(_ path: String, _ file: ModelFileView) async throws -> Bool {
        guard Self.size(of: path) == file.size else { return false }
        return try await withCheckedThrowingContinuation { continuation in
            // Reading gigabytes is not for the cooperative threads.
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(with: Result { try Self.digest(of: path) == file.digest })
            }
        }
    }

    private static func digest(of path: String) throws(ModelFetchError) -> BlobDigest {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: lastError) }
        defer { close(descriptor) }
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(path: path, reason: lastError) }
            guard count > 0 else { return BlobDigest(bytes: hash.finalize()) }
            hash.update(data: buffer[..<count])
        }
    }

    private static func size(of path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Int64(status.st_size)
    }

    private static var lastError: String { String(cString: strerror(errno)) }
}

/// Why a model was not copied, in one line with the remedy.
package enum ModelFetchError: Error, Equatable, CustomStringConvertible {
    /// The farm knows the model and has none of its files.
    case noFiles(model: String)
    /// A file's path leaves the model's folder.
    case outside(model: String, path: String)
    /// The target is there and is something else.
    case otherFolder(path: String, model: String)
    /// The bytes that came have another digest.
    case damaged(path: String)
    case noRoom(path: String, needed: Int64, free: Int64)
    case unwritable(path: String, reason: String)
    case unreadable(path: String, reason: String)

    package var description: String {
        switch self {
        case .noFiles(let model):
            "the farm has no files of the model '\(model)'; add them with "
                + "'dreamfarm models add', or give --model a directory"
        case .outside(let model, let path):
            "the model '\(model)' names the file '\(path)' outside of its folder; nothing was "
                + "copied"
        case .otherFolder(let path, let model):
            "\(path) is there and is not the model '\(model)' as the farm has it; remove it to copy "
                + "the model anew, or give another folder"
        case .damaged(let path):
            "\(path) came with other bytes than its digest says; try again, and check the blob "
                + "store if it stays so"
        case .noRoom(let path, let needed, let free):
            "\(path): \(ByteCount.text(needed)) are needed and \(ByteCount.text(free)) free; "
                + "free space or give another folder"
        case .unwritable(let path, let reason):
            "cannot write \(path): \(reason); choose a folder that you may write to"
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        }
    }
}
