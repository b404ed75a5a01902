import CKernels
import Glibc

/// Writes a safetensors file in one pass: the list of tensors first, then their values in order.
///
/// Values go to a file beside the wanted one, which takes its name only in `finish()`; a writer
/// that is dropped or fails leaves nothing behind.
package final class SafetensorsWriter {
    /// One tensor that will be written.
    package struct Tensor: Sendable, Hashable {
        package let name: String
        package let type: SafetensorsType
        package let shape: [Int]

        package init(name: String, type: SafetensorsType, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }

        /// Bytes of all values.
        var byteCount: Int { shape.reduce(type.byteCount ?? 0, *) }
    }

    /// The file that `finish()` makes.
    package let path: String
    private let aside: String
    private var descriptor: Int32
    private var missing: Int
    private var pending: [UInt8] = []
    private var narrowed: [UInt16] = []

    /// Creates the file beside `path` and writes the header.
    ///
    /// - Parameters:
    ///   - path: The file to make; an older one is replaced in `finish()`.
    ///   - tensors: The tensors in the order in which their values will come.
    ///   - metadata: Free-form strings for the header.
    /// - Throws: `SafetensorsError.unwritable` when the file cannot be created or written.
    package init(
        path: String,
        tensors: [Tensor],
        metadata: [String: String] = [:]
    ) throws(SafetensorsError) {
        precondition(Set(tensors.map(\.name)).count == tensors.count, "a tensor is listed twice")
        precondition(tensors.allSatisfy { $0.type.byteCount != nil }, "a type has no size")
        // The name would be taken from a device or a folder.
        var status = stat()
        guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            throw .unwritable(file: path, reason: "it is there and is not a regular file")
        }
        self.path = path
        aside = "\(path).\(getpid()).partial"
        missing = tensors.reduce(0) { $0 + $1.byteCount }
        descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .unwritable(file: path, reason: String(cString: strerror(errno)))
        }
        try flush(Self.header(tensors, metadata))
    }

    deinit {
        if descriptor >= 0 { abandon() }
    }

    /// Writes stored bytes of the next values.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(SafetensorsError) {
        precondition(bytes.count <= missing, "more values than the list of tensors has")
        missing -= bytes.count
        pending.append(contentsOf: bytes)
        guard pending.count >= 1 << 20 else { return }
        try flush(pending)
        pending.removeAll(keepingCapacity: true)
    }

    /// Writes the next values, which belong to float32 or bfloat16 tensors.
    package func write(
        _ values: UnsafeBufferPointer<Float>,
        as type: SafetensorsType
    ) throws(SafetensorsError) {
        guard type == .bfloat16 else {
            precondition(type == .float32, "values are written as float32 or bfloat16")
            try write(UnsafeRawBufferPointer(values))
            return
        }
        if narrowed.count < values.count {
            narrowed = [UInt16](repeating: 0, count: values.count)
        }
        narrowed.withUnsafeMutableBufferPointer {
            kernel_narrow_bf16($0.baseAddress, values.baseAddress, values.count)
        }
        let converted = narrowed
        try converted.withUnsafeBufferPointer { (buffer) throws(SafetensorsError) in
            try write(
                UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer.prefix(values.count)))
            )
        }
    }

    /// Makes the file durable and gives it its name.
    package func finish() throws(SafetensorsError) {
        precondition(missing == 0, "values of \(missing) bytes were not written")
        try flush(pending)
        pending = []
        guard fsync(descriptor) == 0, rename(aside, path) == 0 else { throw failure() }
        close(descriptor)
        descriptor = -1
    }

    private static func header(_ tensors: [Tensor], _ metadata: [String: String]) -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }
                .map { "\(quoted($0.key)):\(quoted($0.value))" }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var offset = 0
        for tensor in tensors {
            let end = offset + tensor.byteCount
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.type)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(offset),\(end)]}"
            )
            offset = end
        }
        var json = Array("{\(members.joined(separator: ","))}".utf8)
        json.append(contentsOf: repeatElement(0x20, count: (8 - json.count % 8) % 8))
        return withUnsafeBytes(of: UInt64(json.count).littleEndian, Array.init) + json
    }

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private func flush(_ bytes: [UInt8]) throws(SafetensorsError) {
        var start = 0
        while start < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + start }, bytes.count - start)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw failure()
            }
            start += written
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
