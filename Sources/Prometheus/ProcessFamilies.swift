import Glibc

/// What every program tells of its own process, under the names that Prometheus' libraries use.
package enum ProcessFamilies {
    /// Every family of them.
    package static var all: [any MetricFamily] {
        [
            family(
                "process_start_time_seconds",
                .gauge,
                unit: "seconds",
                help: "When the process began, in seconds since the beginning of 1970",
                { startTime }
            ),
            family(
                "process_cpu_seconds_total",
                .counter,
                unit: "seconds",
                help: "Time of processors that the process used, of the user and of the system",
                cpuSeconds
            ),
            family(
                "process_resident_memory_bytes",
                .gauge,
                unit: "bytes",
                help: "Memory of the process that is resident",
                residentBytes
            ),
            family(
                "process_open_fds",
                .gauge,
                unit: "files",
                help: "Files that the process has open, connections among them",
                openFiles
            ),
            family(
                "process_max_fds",
                .gauge,
                unit: "files",
                help: "Files that it may have open",
                mostFiles
            ),
        ]
    }

    private static func family(
        _ name: String,
        _ kind: MetricDescription.Kind,
        unit: String,
        help: String,
        _ read: @escaping @Sendable () -> Double
    ) -> ReadFamily {
        ReadFamily(MetricDescription(name, kind, unit: unit, help: help)) { [[]: read()] }
    }

    // MARK: - What the system says

    /// The moment at which the process began; by the clock as it was set when it was first asked for.
    private static let startTime: Double = {
        // The name of the program stands in brackets and may have any character in it.
        let fields = text(of: "/proc/self/stat").split(separator: ")").last?.split(separator: " ")
        let ticks = fields.flatMap { $0.count > 19 ? Double($0[19]) : nil } ?? 0
        let boot = text(of: "/proc/stat").split(separator: "\n")
            .first { $0.hasPrefix("btime ") }
            .flatMap { Double($0.dropFirst("btime ".count)) }
        return (boot ?? 0) + ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }()

    private static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func residentBytes() -> Double {
        let pages = text(of: "/proc/self/statm").split(separator: " ").dropFirst().first
        return (pages.flatMap { Double($0) } ?? 0) * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func openFiles() -> Double {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Neither the folder itself, nor its two names that are no files.
        return Double(max(0, count - 3))
    }

    private static func mostFiles() -> Double {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Double(limit.rlim_cur)
    }

    /// The beginning of a file of the system's.
    private static func text(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
