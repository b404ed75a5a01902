import Glibc

/// How many files this process may have open.
enum OpenFiles {
    /// What is left for blobs, the database and the rest.
    private static let reserve = 512

    /// Raises the limit to what the system allows, and shares it out to connections.
    static func connections() -> ConnectionLimits {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        var connections = ConnectionLimits()
        let room = Int(clamping: limit.rlim_cur) - reserve
        connections.all = max(64, min(connections.all, room))
        connections.perAddress = connections.all * 3 / 4
        return connections
    }
}
