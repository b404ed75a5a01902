/// Why a group's processes do not reach each other, or no longer do.
package enum LinkError: Error, Equatable {
    /// There is no such interface or address; what there is instead.
    case noInterface(String, known: [String])
    /// A host's name or address leads nowhere.
    case noRoute(host: String, reason: String)
    /// The group's connections cannot be awaited.
    case notListening(reason: String)
    /// What a rank gave as its address is none of this group's.
    case malformedAddress(rank: Int, reason: String)
    /// A rank cannot be connected to.
    case notConnected(rank: Int, reason: String)
    /// A rank did not answer while the group was connected.
    case timedOut(rank: Int, seconds: Double)
    /// A rank does not know the group's secret, or belongs to another group or epoch.
    case wrongProof(rank: Int)
    /// A rank gave no sign of life.
    case silent(rank: Int, seconds: Double)
    /// The connection to a rank broke: its process, its machine, or the way there is gone.
    case lost(rank: Int)
    /// A rank closed its link.
    case left(rank: Int)
    /// A rank has given this one up, which was silent for so long or whose connection broke.
    case accused(by: Int, silentSeconds: Double?)
    /// What a rank sent is none of the messages that were to come.
    case malformedMessage(rank: Int, reason: String)
    /// The system refused something.
    case system(reason: String)
    /// This link was closed.
    case closed
}

extension LinkError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noInterface(let name, let known):
            "there is no interface or address \(name) here, but \(known.joined(separator: ", "))"
        case .noRoute(let host, let reason): "no address leads to \(host): \(reason)"
        case .notListening(let reason): "the group's connections cannot be awaited: \(reason)"
        case .malformedAddress(let rank, let reason): "the address of rank \(rank) \(reason)"
        case .notConnected(let rank, let reason): "rank \(rank) cannot be connected to: \(reason)"
        case .timedOut(let rank, let seconds):
            "rank \(rank) did not answer within \(Self.text(seconds)) s"
        case .wrongProof(let rank): "rank \(rank) does not know the group's secret"
        case .silent(let rank, let seconds):
            "rank \(rank) was silent for \(Self.text(seconds)) s"
        case .lost(let rank): "the connection to rank \(rank) broke"
        case .left(let rank): "rank \(rank) left the group"
        case .accused(let rank, let seconds?):
            "rank \(rank) gave this rank up, silent for \(Self.text(seconds)) s"
        case .accused(let rank, nil): "rank \(rank) lost its connection to this rank"
        case .malformedMessage(let rank, let reason): "rank \(rank) \(reason)"
        case .system(let reason): reason
        case .closed: "the group's link is closed"
        }
    }

    private static func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? "\(Int(seconds))" : "\((seconds * 10).rounded() / 10)"
    }
}
