import Glibc

/// A whole file, mapped read-only until the value is released.
final class FileMapping: Sendable {
    // The mapping is never written and lives as long as this object.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer?
    private let count: Int

    /// Maps the file; an empty file maps to no bytes.
    init(path: String) throws(SafetensorsError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .unreadable(file: path, reason: "not a regular file")
        }
        count = Int(status.st_size)
        guard count > 0 else {
            base = nil
            return
        }
        let mapped = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else {
            throw .unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        base = mapped
    }

    deinit {
        if let base { munmap(base, count) }
    }

    /// All bytes of the file.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// A range of the file's bytes.
    func bytes(in range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range])
    }

    /// Brings a range's pages in with one call, and starts reading as much again behind it.
    ///
    /// A page fault at a time, a cold file comes in at a fraction of the disk's speed. Both calls are
    /// advice: where the system does not know them, the pages come in as they are touched.
    ///
    /// - Parameters:
    ///   - range: The bytes.
    ///   - isFollowed: Whether those behind them are wanted too.
    func fetch(_ range: Range<Int>, isFollowed: Bool = true) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = range.lowerBound / page * page
        let next = min(range.upperBound + range.count, count)
        guard let base, range.upperBound > start else { return }
        if isFollowed { madvise(base + start, next - start, MADV_WILLNEED) }
        madvise(base + start, range.upperBound - start, FileMapping.populateRead)
    }

    /// MADV_POPULATE_READ of Linux 5.14, which the C library's headers may not name yet.
    private static let populateRead: Int32 = 22

    /// Gives the pages of some of the memory back to the system; they can be read again later.
    func release(_ part: UnsafeRawBufferPointer) {
        guard let base, let start = part.baseAddress else { return }
        let first = start - UnsafeRawPointer(base)
        release(first..<first + part.count)
    }

    /// Gives the pages that lie in the range back to the system; they can be read again later.
    func release(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = range.lowerBound / page * page
        let end = range.upperBound / page * page
        guard let base, end > start else { return }
        madvise(base + start, end - start, MADV_DONTNEED)
    }
}
