import FoundationEssentials
import Glibc

/// What the library before a process's C library is told: the time of day, and whether the disk is full.
///
/// The file has the layout of `fault_control` in `fault_shim.h`.
struct FaultControl: Sendable {
    let path: String

    /// Makes the file, which any account may write: PostgreSQL has one of its own.
    init(path: String) throws {
        self.path = path
        guard FileManager.default.createFile(atPath: path, contents: Data(count: 4096)),
            chmod(path, 0o666) == 0
        else { throw HarnessError("\(path) cannot be made") }
    }

    /// What a process is started with, its disk under a folder.
    func environment(library: String, folder: String) -> [String: String] {
        ["LD_PRELOAD": library, "FAULT_CONTROL": path, "FAULT_FOLDER": folder]
    }

    /// Moves the time of day.
    func setClock(_ offset: Duration) throws {
        let (seconds, attoseconds) = offset.components
        try write(seconds * 1_000_000_000 + attoseconds / 1_000_000_000, at: 0)
    }

    func setDiskFull(_ isFull: Bool) throws { try write(isFull ? 1 : 0, at: 8) }

    /// How often another time was told.
    var shiftedReads: Int64 { get throws { try read(at: 16) } }
    /// How often a write was refused.
    var refusedWrites: Int64 { get throws { try read(at: 24) } }

    private func write(_ value: Int64, at offset: Int) throws {
        try withFile(O_WRONLY) { file in
            withUnsafeBytes(of: value) { pwrite(file, $0.baseAddress, 8, offset) == 8 }
        }
    }

    private func read(at offset: Int) throws -> Int64 {
        var value: Int64 = 0
        try withFile(O_RDONLY) { file in
            withUnsafeMutableBytes(of: &value) { pread(file, $0.baseAddress, 8, offset) == 8 }
        }
        return value
    }

    private func withFile(_ mode: Int32, _ body: (Int32) -> Bool) throws {
        let file = open(path, mode)
        defer { close(file) }
        guard file >= 0, body(file) else { throw HarnessError("\(path) cannot be used") }
    }
}
