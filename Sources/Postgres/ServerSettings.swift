import FoundationEssentials
import Glibc

/// The settings that the private server is started with: those of a queue, in which few rows are
/// changed often.
struct ServerSettings {
    let runtimeFolder: String
    let port: Int
    let isDurable: Bool
    /// The memory that the server may count on, in bytes.
    let memory: Int

    /// From so much memory on, the server takes the usual quarter of a gigabyte of it as its own.
    private static let plentyOfMemory = 2 << 30

    /// The settings as `name=value`.
    var list: [String] {
        access + maintenance + planning + durability
    }

    /// One private socket, no TCP.
    private var access: [String] {
        [
            "listen_addresses=", "unix_socket_directories=\(runtimeFolder)",
            "unix_socket_permissions=0700", "port=\(port)", "max_connections=100",
            "timezone=UTC", "log_timezone=UTC", "logging_collector=off",
        ]
    }

    /// Tables are swept early, yet once a minute and with pauses: each sweep makes every session plan
    /// its statements anew.
    private var maintenance: [String] {
        [
            "autovacuum_vacuum_scale_factor=0.05", "autovacuum_analyze_scale_factor=0.05",
            "autovacuum_vacuum_insert_scale_factor=0.1",
        ]
    }

    /// Statements are short: no time goes into compiling them.
    private var planning: [String] {
        [
            "shared_buffers=\(memory >= Self.plentyOfMemory ? "256MB" : "64MB")",
            "jit=off", "random_page_cost=1.1",
        ]
    }

    /// A commit that was answered is on the disk; checkpoints are few, for each costs whole pages.
    private var durability: [String] {
        let usual = ["wal_compression=on", "max_wal_size=2GB", "checkpoint_timeout=15min"]
        return usual
            + (isDurable
                ? ["synchronous_commit=on"]
                : ["synchronous_commit=off", "fsync=off", "full_page_writes=off"])
    }

    /// The memory of this machine, or the container's share of it where that is less.
    static func machineMemory() -> Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let limit = try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8)
        let share = limit.flatMap { Int($0.prefix { $0.isNumber }) }
        return min(pages, share ?? pages)
    }
}
