import FarmModel

/// The names under which a coordinator is addressed.
package struct AccessPolicy: Sendable {
    /// The hosts under which the coordinator is addressed, without ports; nil for any.
    package var hosts: Set<String>?

    package init(hosts: Set<String>?) {
        self.hosts = hosts
    }

    /// The policy of a listener on `address`: for loopback its names, so that a web page cannot
    /// reach it under a name of its own; for others any.
    package init(listeningOn address: String) {
        hosts =
            ListenAddress.isLoopback(address) ? ["127.0.0.1", "localhost", "[::1]", address] : nil
    }

    /// Whether a request for `authority` is for this coordinator.
    func admits(authority: String) -> Bool {
        guard let hosts else { return true }
        // Most requests name the host and port alone, in lower case.
        return hosts.contains(Self.host(of: authority))
            || hosts.contains(Self.host(of: authority).lowercased())
    }

    /// An authority without its port.
    private static func host(of authority: String) -> String {
        guard let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") else {
            return authority
        }
        return String(authority[..<colon])
    }
}
