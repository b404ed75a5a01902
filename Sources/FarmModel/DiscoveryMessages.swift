/// Where metrics are to be read, as Prometheus' discovery over HTTP takes it.
package struct DiscoveryTarget: Codable, Hashable, Sendable {
    /// Hosts with their ports.
    package var targets: [String]
    /// What is known of them; Prometheus forgets what begins with `__` unless it is told to keep it.
    package var labels: [String: String]

    package init(targets: [String], labels: [String: String]) {
        self.targets = targets
        self.labels = labels
    }
}
