/// What a link has done since it was connected.
package struct LinkStatistics: Sendable, Equatable {
    /// Bytes that this rank sent to others.
    package var bytesSent = 0
    /// Sums, gathers and other operations that are over.
    package var reductions = 0
    /// Seconds in which at least one was under way.
    package var busySeconds = 0.0
    /// Seconds that callers waited for one.
    package var waitedSeconds = 0.0

    package init() {}
}

extension LinkStatistics {
    package static func - (left: LinkStatistics, right: LinkStatistics) -> LinkStatistics {
        var difference = left
        difference.bytesSent -= right.bytesSent
        difference.reductions -= right.reductions
        difference.busySeconds -= right.busySeconds
        difference.waitedSeconds -= right.waitedSeconds
        return difference
    }

    package static func += (left: inout LinkStatistics, right: LinkStatistics) {
        left.bytesSent += right.bytesSent
        left.reductions += right.reductions
        left.busySeconds += right.busySeconds
        left.waitedSeconds += right.waitedSeconds
    }
}

/// How fast a link is, for the prediction of what a group takes.
package struct LinkSpeed: Sendable, Equatable {
    /// Seconds from this rank to its peers and back, the median of some rounds.
    package let latency: Double
    /// Bytes a second that this rank sends while all send to all.
    package let bandwidth: Double
}
