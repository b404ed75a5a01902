import Collectives
import FoundationEssentials
import Glibc

/// How the processes of a benchmark's group find each other: by files in a folder.
///
/// Each writes its address, rank 0 a secret too, and waits for the others' files.
struct GroupRendezvous {
    let folder: String
    let rank: Int
    let ranks: Int

    private static let timeout = 120.0
    private static let pause: UInt32 = 50_000

    /// Links this process to the others.
    ///
    /// - Parameter interface: Where the others reach it.
    /// - Returns: The link, connected.
    /// - Throws: `LinkError`, and what the folder throws.
    func connect(interface: String) throws -> GroupLink {
        let link = try GroupLink(rank: rank, size: ranks, interface: interface)
        if rank == 0 {
            try write(GroupLink.newSecret(), "secret")
        }
        try write(link.address, "address-\(rank)")
        try link.connect(
            addresses: try (0..<ranks).map { try read("address-\($0)") },
            secret: try read("secret"),
            epoch: 1,
            group: "bench",
            timeout: Self.timeout
        )
        return link
    }

    private func write(_ data: Data, _ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true
        )
        try data.write(to: URL(filePath: "\(folder)/\(name)"), options: .atomic)
    }

    /// A file's bytes, when it is there.
    private func read(_ name: String) throws -> Data {
        let path = "\(folder)/\(name)"
        for _ in 0..<Int(Self.timeout * 1e6) / Int(Self.pause) {
            if FileManager.default.fileExists(atPath: path) { break }
            usleep(Self.pause)
        }
        return try Data(contentsOf: URL(filePath: path))
    }
}
