import Glibc

/// An account of this machine.
struct SystemUser: Sendable, Hashable {
    let name: String
    let userID: uid_t
    let groupID: gid_t

    /// The account that this process acts as.
    static func current() throws(PostgresClusterError) -> SystemUser {
        let id = geteuid()
        // `getpwuid` keeps its answer in static storage; it is copied at once.
        guard let entry = getpwuid(id), let name = entry.pointee.pw_name else {
            throw .systemUserMissing("with the id \(id)")
        }
        return SystemUser(name: String(cString: name), userID: id, groupID: getegid())
    }

    /// The account of this name.
    init(named name: String) throws(PostgresClusterError) {
        guard let entry = getpwnam(name) else { throw .systemUserMissing(name) }
        self.name = name
        userID = entry.pointee.pw_uid
        groupID = entry.pointee.pw_gid
    }

    private init(name: String, userID: uid_t, groupID: gid_t) {
        self.name = name
        self.userID = userID
        self.groupID = groupID
    }
}
