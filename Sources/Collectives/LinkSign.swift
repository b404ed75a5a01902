/// What a rank tells each peer every second, and when it goes: 8 bytes, least significant first.
enum LinkSign: Equatable {
    case alive
    /// The rank closes its link, or fails for a reason of its own.
    case leaving
    /// The rank goes because another gave no sign of life.
    case silent(rank: Int, seconds: Double)
    /// The rank goes because its connection to another broke.
    case lost(rank: Int)
    /// The rank goes because another did.
    case left(rank: Int)

    static let byteCount = 8

    /// What a rank says that goes for a reason.
    init(_ reason: LinkError, of own: Int) {
        switch reason {
        case .accused(_, let seconds?): self = .silent(rank: own, seconds: seconds)
        case .accused(_, nil): self = .lost(rank: own)
        case .silent(let rank, let seconds): self = .silent(rank: rank, seconds: seconds)
        case .lost(let rank): self = .lost(rank: rank)
        case .left(let rank): self = .left(rank: rank)
        default: self = .leaving
        }
    }

    /// Reads a sign; nil where it is none.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount else { return nil }
        let word = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        let rank = Int(word >> 8 & 0xffff)
        switch word & 0xff {
        case 1: self = .alive
        case 2: self = .leaving
        case 3: self = .silent(rank: rank, seconds: Double(word >> 24) / 1000)
        case 4: self = .lost(rank: rank)
        case 5: self = .left(rank: rank)
        default: return nil
        }
    }

    var bytes: [UInt8] {
        let word: UInt64 =
            switch self {
            case .alive: 1
            case .leaving: 2
            case .silent(let rank, let seconds):
                3 | UInt64(rank) << 8 | UInt64(min(max(seconds, 0), 1e6) * 1000) << 24
            case .lost(let rank): 4 | UInt64(rank) << 8
            case .left(let rank): 5 | UInt64(rank) << 8
            }
        return withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }

    /// Why a link ends whose peer has given this sign; nil where it goes on.
    func reason(from peer: Int, own rank: Int) -> LinkError? {
        switch self {
        case .alive: nil
        case .leaving: .left(rank: peer)
        case .silent(rank, let seconds): .accused(by: peer, silentSeconds: seconds)
        case .lost(rank), .left(rank): .accused(by: peer, silentSeconds: nil)
        case .silent(let blamed, let seconds): .silent(rank: blamed, seconds: seconds)
        case .lost(let blamed): .lost(rank: blamed)
        case .left(let blamed): .left(rank: blamed)
        }
    }
}
