import Glibc

/// Writes a safetensors file whose tensors are not known beforehand: room for the header first,
/// then the values as they come, then the header.
///
/// Every tensor of a whole number of cache lines begins on one. Nothing has the wanted name before
/// `finish`; an appender that is dropped or fails leaves nothing behind.
final class SafetensorsAppender {
    private let path: String
    private let aside: String
    private var descriptor: Int32
    private var members: [String] = []
    private var offset = 0
    /// Tensors that would leave the next one off a cache line: they come last.
    private var late: [(name: String, type: SafetensorsType, shape: [Int], bytes: [UInt8])] = []

    /// Where the values begin: a header of a few thousand tensors has room before it.
    private static let dataStart = 1 << 20
    private static let alignment = 64

    /// Creates the file beside `path`.
    ///
    /// - Throws: `SafetensorsError.unwritable`.
    init(path: String) throws(SafetensorsError) {
        self.path = path
        aside = "\(path).\(getpid()).partial"
        descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .unwritable(file: path, reason: String(cString: strerror(errno)))
        }
    }

    deinit {
        if descriptor >= 0 { abandon() }
    }

    /// Adds a tensor.
    func append(
        _ name: String,
        _ type: SafetensorsType,
        shape: [Int],
        _ bytes: UnsafeRawBufferPointer
    ) throws(SafetensorsError) {
        guard bytes.count.isMultiple(of: Self.alignment) else {
            late.append((name, type, shape, Array(bytes)))
            return
        }
        try write(name, type, shape, bytes)
    }

    /// Writes the header, makes the file durable and gives it its name.
    func finish(metadata: [String: String]) throws(SafetensorsError) {
        for tensor in late {
            try tensor.bytes.withUnsafeBufferPointer { (bytes) throws(SafetensorsError) in
                try write(tensor.name, tensor.type, tensor.shape, UnsafeRawBufferPointer(bytes))
            }
        }
        let pairs = metadata.sorted { $0.key < $1.key }.map {
            "\(SafetensorsWriter.quoted($0.key)):\(SafetensorsWriter.quoted($0.value))"
        }
        let all = ["\"__metadata__\":{\(pairs.joined(separator: ","))}"] + members
        var json = Array("{\(all.joined(separator: ","))}".utf8)
        let length = Self.dataStart - 8
        guard json.count <= length else {
            abandon()
            throw .unwritable(
                file: path,
                reason: "its list of tensors needs \(json.count) bytes and has \(length)"
            )
        }
        json.append(contentsOf: repeatElement(0x20, count: length - json.count))
        let header = withUnsafeBytes(of: UInt64(length).littleEndian, Array.init) + json
        try header.withUnsafeBufferPointer { (bytes) throws(SafetensorsError) in
            try write(UnsafeRawBufferPointer(bytes), at: 0)
        }
        guard fsync(descriptor) == 0, rename(aside, path) == 0 else { throw failure() }
        close(descriptor)
        descriptor = -1
    }

    private func write(
        _ name: String,
        _ type: SafetensorsType,
        _ shape: [Int],
        _ bytes: UnsafeRawBufferPointer
    ) throws(SafetensorsError) {
        try write(bytes, at: Self.dataStart + offset)
        let end = offset + bytes.count
        members.append(
            "\(SafetensorsWriter.quoted(name)):{\"dtype\":\"\(type)\","
                + "\"shape\":[\(shape.map(String.init).joined(separator: ","))],"
                + "\"data_offsets\":[\(offset),\(end)]}"
        )
        offset = end
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at place: Int) throws(SafetensorsError) {
        var done = 0
        while done < bytes.count {
            let written = pwrite(
                descriptor,
                bytes.baseAddress.map { $0 + done },
                bytes.count - done,
                place + done
            )
            if written < 0 {
                if errno == EINTR { continue }
                throw failure()
            }
            done += written
        }
    }

    private func failure() -> SafetensorsError {
        let reason = String(cString: strerror(errno))
        abandon()
        return .unwritable(file: path, reason: reason)
    }

    private func abandon() {
        close(descriptor)
        descriptor = -1
        unlink(aside)
    }
}
