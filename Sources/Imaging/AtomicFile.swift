import Glibc
import Synchronization

/// Writes files whole or not at all.
package enum AtomicFile {
    /// Writes bytes to a path: aside in the same folder, to the disk, then renamed over the path.
    ///
    /// A reader sees the old file or the new one. A symbolic link stays and its target is
    /// replaced; a device or pipe is written straight.
    ///
    /// - Throws: `AtomicFileError`; then the path is as it was and nothing lies beside it.
    package static func write(_ path: String, _ bytes: [UInt8]) throws(AtomicFileError) {
        var status = stat()
        var target = path
        if stat(path, &status) == 0 {
            switch status.st_mode & S_IFMT {
            case S_IFREG: target = resolved(path)
            case S_IFDIR: throw .folder(path: path)
            default: return try writeStraight(path, bytes)
            }
        }
        guard !target.isEmpty, !target.hasSuffix("/") else { throw .folder(path: path) }
        let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? "./"
        let aside = folder + asideName()
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw AtomicFileError(errno, path: path) }
        do throws(AtomicFileError) {
            try fill(descriptor, bytes, path: path)
            guard rename(aside, target) == 0 else { throw AtomicFileError(errno, path: path) }
        } catch {
            unlink(aside)
            throw error
        }
        syncFolder(folder)
    }

    /// Writes, syncs and closes.
    private static func fill(
        _ descriptor: Int32,
        _ bytes: [UInt8],
        path: String
    ) throws(AtomicFileError) {
        do throws(AtomicFileError) {
            try writeAll(descriptor, bytes, path: path)
            guard fsync(descriptor) == 0 else { throw AtomicFileError(errno, path: path) }
        } catch {
            close(descriptor)
            throw error
        }
        guard close(descriptor) == 0 else { throw AtomicFileError(errno, path: path) }
    }

    /// Writes to what is no regular file, such as `/dev/stdout`.
    private static func writeStraight(
        _ path: String,
        _ bytes: [UInt8]
    ) throws(AtomicFileError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw AtomicFileError(errno, path: path) }
        defer { close(descriptor) }
        try writeAll(descriptor, bytes, path: path)
    }

    private static func writeAll(
        _ descriptor: Int32,
        _ bytes: [UInt8],
        path: String
    ) throws(AtomicFileError) {
        var offset = 0
        while offset < bytes.count {
            let written = bytes[offset...].withUnsafeBytes { rest in
                Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw AtomicFileError(errno, path: path) }
            offset += written
        }
    }

    /// Makes the rename last through a power cut, where the file system can.
    private static func syncFolder(_ folder: String) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static let serial = Atomic<UInt64>(0)

    /// A name that no other write of any process uses at the same time.
    private static func asideName() -> String {
        let number = serial.wrappingAdd(1, ordering: .relaxed).newValue
        let random = UInt32.random(in: .min ... .max)
        return ".dreamfarm-\(getpid())-\(number)-\(random).partial"
    }
}

/// Why a file could not be written, in one line that names it and the remedy.
package enum AtomicFileError: Error, Equatable, CustomStringConvertible {
    /// The path is a folder.
    case folder(path: String)

    /// The folder of the path is not there.
    case missingFolder(path: String)

    /// The folder may not be written, with the system's reason.
    case unwritable(path: String, reason: String)

    /// The disk or the quota is full.
    case diskFull(path: String)

    /// Anything else, with the system's reason.
    case failed(path: String, reason: String)

    /// The error for a number that the system gave.
    init(_ number: Int32, path: String) {
        switch number {
        case EISDIR: self = .folder(path: path)
        case ENOENT, ENOTDIR: self = .missingFolder(path: path)
        case EACCES, EPERM, EROFS: self = .unwritable(path: path, reason: reason(number))
        case ENOSPC, EDQUOT: self = .diskFull(path: path)
        default: self = .failed(path: path, reason: reason(number))
        }
    }

    package var description: String {
        switch self {
        case .folder(let path):
            "cannot write \(shown(path)): it is a folder; give the path of a file"
        case .missingFolder(let path):
            "cannot write \(shown(path)): its folder does not exist; make the folder first"
        case .unwritable(let path, let reason):
            "cannot write \(shown(path)): \(reason); choose a folder that you may write to"
        case .diskFull(let path):
            "cannot write \(shown(path)): the disk is full; free space or choose another folder"
        case .failed(let path, let reason):
            "cannot write \(shown(path)): \(reason); check the path and the disk"
        }
    }
}
