/// What some coordinator has to do every now and then, one at a time.
package enum Duty: Int, CaseIterable, Sendable {
    /// Lapsed leases, hung attempts, silent workers.
    case expiry = 0x6472_6d02
    /// Tasks that rested, start times, jobs that waited for others.
    case wake
    /// Workers that fail too often, jobs that failed too often.
    case limits
    /// Dead rows of the hot tables.
    case vacuum
    /// Heads that have no ready task left.
    case emptyHeads
    /// What is kept no longer.
    case retention
    /// Webhooks that are due.
    case webhooks
    /// The sampling of the database for metrics.
    case gauges
    /// The sweep of blobs that nothing names.
    case blobs
    /// Groups that are to be made, mended or ended.
    case groups
    /// Tasks that take the place of those of a lower band.
    case preemption
    /// What owners use of what they may.
    case quotas
    /// Pictures that are rendered again and compared.
    case audits

    /// The duty's name, as the metrics show it.
    package var name: String { String(describing: self) }
}
