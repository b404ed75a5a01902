import Glibc

/// What the system still has to give to this process.
package enum SystemMemory {
    /// Bytes of memory and swap that this process can still take, or nil where nobody says.
    ///
    /// The least of what the machine has, what the limits of the process's control groups leave
    /// and what its limit of address space leaves. Pages of files count as free: they are given
    /// back when memory is wanted.
    package static var available: Int? {
        [available(root: ""), addressSpace()].compactMap(\.self).min()
    }

    /// Bytes of this process's memory that are in use now, or nil where nobody says.
    package static var resident: Int? {
        fields("/proc/self/status")["VmRSS"].map { $0 << 10 }
    }

    /// What the files below a root say.
    static func available(root: String) -> Int? {
        var limits: [Int] = []
        let meminfo = fields("\(root)/proc/meminfo")
        if let memory = meminfo["MemAvailable"] {
            limits.append((memory + (meminfo["SwapFree"] ?? 0)) << 10)
        }
        for line in text("\(root)/proc/self/cgroup").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[1].isEmpty {
                limits += groups(
                    "\(root)/sys/fs/cgroup",
                    String(parts[2]),
                    limit: "memory.max",
                    usage: "memory.current"
                )
            } else if parts[1].split(separator: ",").contains("memory") {
                limits += groups(
                    "\(root)/sys/fs/cgroup/memory",
                    String(parts[2]),
                    limit: "memory.limit_in_bytes",
                    usage: "memory.usage_in_bytes"
                )
            }
        }
        return limits.min()
    }

    /// What a group and those above it leave, each that has a limit.
    private static func groups(
        _ root: String,
        _ group: String,
        limit: String,
        usage: String
    ) -> [Int] {
        var names = group.split(separator: "/")
        var found: [Int] = []
        while true {
            let folder = ([root] + names.map(String.init)).joined(separator: "/")
            if let most = number("\(folder)/\(limit)"), let used = number("\(folder)/\(usage)") {
                let pages = fields("\(folder)/memory.stat", separator: " ")
                let files = (pages["active_file"] ?? 0) + (pages["inactive_file"] ?? 0)
                found.append(max(0, most - max(0, used - files)))
            }
            guard names.popLast() != nil else { return found }
        }
    }

    /// What the limit of the address space leaves, or nil without one.
    private static func addressSpace() -> Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
            let most = Int(exactly: limit.rlim_cur),
            let pages = text("/proc/self/statm").split(separator: " ").first.flatMap({ Int($0) })
        else { return nil }
        return max(0, most - pages * sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Lines such as `MemFree:  12 kB`, by name.
    private static func fields(_ path: String, separator: Character = ":") -> [String: Int] {
        var fields: [String: Int] = [:]
        for line in text(path).split(separator: "\n") {
            let parts = line.split(separator: separator, maxSplits: 1)
            guard parts.count == 2,
                let number = parts[1].split(whereSeparator: \.isWhitespace).first
            else { continue }
            fields[String(parts[0])] = Int(number)
        }
        return fields
    }

    /// The number that is all of a file, or nil, as for `max`.
    private static func number(_ path: String) -> Int? {
        text(path).split(separator: "\n").first.flatMap { Int($0) }
    }

    /// A small file's text; empty when it cannot be read.
    private static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            text += buffer[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
