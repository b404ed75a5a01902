import FoundationEssentials
import Tensors
import Testing

@testable import Collectives

/// Links of one group in this process, over loopback.
struct LinkGroup: Sendable {
    let links: [GroupLink]

    static let secret = Data("the group's secret".utf8)

    /// Opens the links and connects them.
    init(size: Int, silence: Double = 8) throws {
        let links = try Self.open(size: size, silence: silence)
        self.links = links
        _ = try onRanks { link in try Self.connect(link, links) }
    }

    /// Runs a body with connected links, and closes them.
    static func run<Result>(
        size: Int,
        silence: Double = 8,
        _ body: (LinkGroup) throws -> Result
    ) throws -> Result {
        let group = try LinkGroup(size: size, silence: silence)
        defer { group.close() }
        return try body(group)
    }

    static func open(size: Int, silence: Double = 8) throws -> [GroupLink] {
        try (0..<size).map { rank in
            try GroupLink(rank: rank, size: size, interface: "127.0.0.1", silence: silence)
        }
    }

    static func connect(
        _ link: GroupLink,
        _ links: [GroupLink],
        secret: Data = secret,
        epoch: UInt64 = 1,
        timeout: Double = 20
    ) throws {
        try link.connect(
            addresses: links.map(\.address),
            secret: secret,
            epoch: epoch,
            group: "test",
            timeout: timeout
        )
    }

    func close() {
        links.forEach { $0.close() }
    }

    /// Runs a body for each rank on a thread of its own; throws the first error.
    func onRanks<Result: Sendable>(
        _ body: @escaping @Sendable (GroupLink) throws -> Result
    ) throws -> [Result] {
        try onThreads(links.count) { rank in try body(links[rank]) }.map { try $0.get() }
    }
}

/// Runs a body for each index on a thread of its own.
func onThreads<Value: Sendable>(
    _ count: Int,
    _ body: @escaping @Sendable (Int) throws -> Value
) -> [Result<Value, any Error>] {
    let results = Monitor([Result<Value, any Error>?](repeating: nil, count: count))
    let threads = (0..<count).map { index in
        LinkThread {
            let result = Result { try body(index) }
            results.change { $0[index] = result }
        }
    }
    threads.forEach { $0.join() }
    return results.read { $0.compactMap(\.self) }
}

/// The error of a body that has to throw one of the link's.
func linkError<Value>(_ result: Result<Value, any Error>) -> LinkError? {
    guard case .failure(let error) = result else { return nil }
    return error as? LinkError
}

/// Values without a pattern that a mistake could keep, of either sign and of many magnitudes.
func scattered(_ count: Int, seed: Int) -> [Float] {
    var state = UInt64(seed + 1) &* 0x9e37_79b9_7f4a_7c15
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let unit = Float(state >> 40) / Float(1 << 24) - 0.5
        return unit * Float(1 << (state >> 33 & 7))
    }
}

/// A value rounded to bfloat16, ties to even.
func rounded(_ value: Float) -> Float {
    let bits = value.bitPattern
    return Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}
