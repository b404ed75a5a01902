import FarmModel
import FoundationEssentials
import Glibc

/// Who a worker is besides its name, so that one that was killed and is started again is known as
/// the same, and another one of the same name is not.
///
/// It is random once for a name in a data folder and stays there. A process that lives keeps its file
/// locked: the next one of the same name and folder takes the next file, and so another instance.
package final class WorkerInstance: Sendable {
    /// What the farm is told: the same for as long as the data folder is kept.
    package let id: String

    /// The locked file; nil where nothing is kept.
    private let file: Int32?

    /// How many processes of one name and folder have an instance that is kept.
    private static let mostProcesses = 256

    private init(id: String, file: Int32?) {
        self.id = id
        self.file = file
    }

    deinit {
        if let file { close(file) }
    }

    /// An instance that nobody had and nobody will have again.
    package static func random() -> WorkerInstance {
        WorkerInstance(id: UUID().uuidString, file: nil)
    }

    /// Takes the first instance of the name in the data folder that no living process has.
    ///
    /// - Parameters:
    ///   - name: The worker's name.
    ///   - dataFolder: The worker's data folder; made when it is not there.
    ///   - patience: How long to wait for one of the instances that are there before a new one is
    ///     made: the lock of a process that was killed outlasts it by a moment.
    /// - Returns: The instance, this process's until it is let go.
    /// - Throws: ``WorkerInstanceError`` where the folder cannot be written to, and
    ///   `CancellationError`.
    package static func take(
        _ name: String,
        in dataFolder: String,
        patience: Duration = .seconds(2)
    ) async throws -> WorkerInstance {
        let folder = dataFolder + "/instances"
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw WorkerInstanceError(path: folder, reason: "cannot be made")
        }
        // A name may have any character.
        let stem = folder + "/" + BlobDigest(of: Data(name.utf8)).rawValue.prefix(16)
        let paths = (1...mostProcesses).map { "\(stem).\($0)" }
        let known = paths.prefix { access($0, F_OK) == 0 }
        let deadline = ContinuousClock.now.advanced(by: patience)
        repeat {
            for path in known {
                if let instance = try take(file: path) { return instance }
            }
            if known.isEmpty || ContinuousClock.now >= deadline { break }
            try await Task.sleep(for: .milliseconds(50))
        } while true
        for path in paths.dropFirst(known.count) {
            if let instance = try take(file: path) { return instance }
        }
        return random()
    }

    /// Takes the instance of a file; nil where a living process has it.
    private static func take(file path: String) throws(WorkerInstanceError) -> WorkerInstance? {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw WorkerInstanceError(path: path, code: errno) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(file)
            guard code == EWOULDBLOCK else { throw WorkerInstanceError(path: path, code: code) }
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = pread(file, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        if let id = UUID(uuidString: text) {
            return WorkerInstance(id: id.uuidString, file: file)
        }
        // New, or cut short by whatever ended the process that wrote it.
        let id = UUID().uuidString
        guard ftruncate(file, 0) == 0, pwrite(file, id, id.utf8.count, 0) == id.utf8.count else {
            let code = errno
            close(file)
            throw WorkerInstanceError(path: path, code: code)
        }
        return WorkerInstance(id: id, file: file)
    }
}

/// A file that a worker's instance cannot be kept in.
package struct WorkerInstanceError: Error, Equatable, CustomStringConvertible {
    package let path: String
    package let reason: String

    init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    init(path: String, code: Int32) {
        self.init(path: path, reason: String(cString: strerror(code)))
    }

    package var description: String {
        "\(path): \(reason); give a --data-dir that this user may write to"
    }
}
