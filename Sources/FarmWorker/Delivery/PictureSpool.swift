import FarmModel
import FoundationEssentials
import Glibc
import Imaging
import Logging
import Synchronization

/// A finished picture that waits to be delivered.
enum SpooledPicture: Sendable {
    case memory(Data)
    case file(path: String, size: Int64)

    var size: Int64 {
        switch self {
        case .memory(let data): Int64(data.count)
        case .file(_, let size): size
        }
    }
}

/// Keeps finished pictures until they are delivered: in memory, and on disk beyond a bound.
///
/// It outlives a coordinator that is away, not the process: what a new process could deliver is
/// under a lease that is over.
final class PictureSpool: Sendable {
    private let folder: String
    private let memoryLimit: Int64
    private let logger: Logger
    private let inMemory = Mutex<Int64>(0)

    /// - Parameters:
    ///   - folder: A folder of this process alone; made when it is needed.
    ///   - memoryLimit: How many bytes of pictures stay in memory.
    ///   - logger: Told when the disk refuses.
    init(folder: String, memoryLimit: Int64, logger: Logger) {
        self.folder = folder
        self.memoryLimit = memoryLimit
        self.logger = logger
    }

    /// Keeps a picture.
    func keep(_ picture: Data) -> SpooledPicture {
        let size = Int64(picture.count)
        let fits = inMemory.withLock { bytes in
            guard bytes + size <= memoryLimit else { return false }
            bytes += size
            return true
        }
        if fits { return .memory(picture) }
        let path = folder + "/" + UUID().uuidString + ".png"
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            try AtomicFile.write(path, [UInt8](picture))
            return .file(path: path, size: size)
        } catch {
            logger.warning("A picture stays in memory", metadata: ["error": "\(error)"])
            inMemory.withLock { $0 += size }
            return .memory(picture)
        }
    }

    /// The bytes of a picture.
    ///
    /// - Throws: ``RenderFailure`` where its file was taken away.
    func bytes(of picture: SpooledPicture) throws -> Data {
        switch picture {
        case .memory(let data): return data
        case .file(let path, _):
            guard let data = FileManager.default.contents(atPath: path) else {
                throw RenderFailure(
                    .workersFault,
                    "\(path): the finished picture is gone; nothing else may clean --data-dir"
                )
            }
            return data
        }
    }

    /// Lets a picture go.
    func forget(_ picture: SpooledPicture) {
        switch picture {
        case .memory(let data): inMemory.withLock { $0 -= Int64(data.count) }
        case .file(let path, _): unlink(path)
        }
    }

    /// Takes the folder away: at the process's end, and at its start what a killed one left.
    func clear() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Takes away the spools under `folder` that killed processes left a day ago or earlier.
    static func clean(_ folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names {
            var status = stat()
            let path = folder + "/" + name
            guard stat(path, &status) == 0, status.st_mtim.tv_sec < time(nil) - 86_400 else {
                continue
            }
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
