import CLibFuzzer
import Glibc
import Tensors

/// Files of weights: each tensor of one that opens can be read, or says why not.
enum SafetensorsReader {
    /// What a tensor of a small file may have; none repeats its bytes.
    private static let largestCount = 1 << 20

    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        // The reader maps a file; this one is memory alone.
        let file = memfd_create("fuzz.safetensors", 0)
        guard file >= 0, write(file, bytes.baseAddress, bytes.count) == bytes.count else {
            preconditionFailure("no memory for an input")
        }
        defer { close(file) }
        guard let opened = try? SafetensorsFile(path: "/proc/self/fd/\(file)") else {
            return .taken
        }
        for (name, entry) in opened.entries {
            precondition(
                entry.count <= largestCount,
                "'\(name)' has more values than the file bytes"
            )
            guard let values = try? opened.values(of: name) else { continue }
            precondition(values.count == entry.count, "'\(name)' has another count than it says")
            precondition(values.allSatisfy(\.isFinite), "'\(name)' was read though not finite")
        }
        return .taken
    }
}
