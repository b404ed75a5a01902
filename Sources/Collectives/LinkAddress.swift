import CGloo
import FoundationEssentials

/// Where a rank awaits the connections of its peers: what it tells them before they connect.
///
/// As bytes: the version, the rank and the size of the group (two bytes each, most significant
/// first), and for each other rank in order 4 or 6, the bytes of the IP address, and the port.
struct LinkAddress {
    static let version: UInt8 = 1

    let rank: Int
    /// One a peer, in the order of ranks.
    let endpoints: [gloo_endpoint]

    init(rank: Int, endpoints: [gloo_endpoint]) {
        self.rank = rank
        self.endpoints = endpoints
    }

    /// Reads what a rank of a group of that size has told.
    init(_ data: Data, of rank: Int, size: Int) throws(LinkError) {
        var bytes = ByteReader(data, rank: rank)
        guard try bytes.next() == Self.version else { throw bytes.problem("has another version") }
        guard try bytes.nextPair() == rank else { throw bytes.problem("is of another rank") }
        guard try bytes.nextPair() == size else {
            throw bytes.problem("is of a group of another size")
        }
        var endpoints: [gloo_endpoint] = []
        for _ in 1..<size {
            var endpoint = gloo_endpoint()
            endpoint.family = try bytes.next()
            guard endpoint.family == 4 || endpoint.family == 6 else {
                throw bytes.problem("has an unknown kind of IP address")
            }
            let address = try bytes.next(endpoint.family == 4 ? 4 : 16)
            withUnsafeMutableBytes(of: &endpoint.address) { $0.copyBytes(from: address) }
            endpoint.port = UInt16(try bytes.nextPair())
            guard endpoint.port > 0 else { throw bytes.problem("has no port") }
            endpoints.append(endpoint)
        }
        guard bytes.isAtEnd else { throw bytes.problem("goes on behind its end") }
        self.init(rank: rank, endpoints: endpoints)
    }

    /// Where a peer's connection is awaited.
    func endpoint(for peer: Int) -> gloo_endpoint {
        endpoints[peer < rank ? peer : peer - 1]
    }

    var data: Data {
        var data = Data([Self.version])
        append(UInt16(rank), to: &data)
        append(UInt16(endpoints.count + 1), to: &data)
        for endpoint in endpoints {
            data.append(endpoint.family)
            withUnsafeBytes(of: endpoint.address) {
                data.append(contentsOf: $0.prefix(endpoint.family == 4 ? 4 : 16))
            }
            append(endpoint.port, to: &data)
        }
        return data
    }

    private func append(_ value: UInt16, to data: inout Data) {
        data.append(UInt8(value >> 8))
        data.append(UInt8(value & 0xff))
    }
}

/// Reads an address from its start on.
private struct ByteReader {
    private var rest: ArraySlice<UInt8>
    private let rank: Int

    init(_ data: Data, rank: Int) {
        rest = ArraySlice(data)
        self.rank = rank
    }

    var isAtEnd: Bool { rest.isEmpty }

    func problem(_ reason: String) -> LinkError {
        .malformedAddress(rank: rank, reason: reason)
    }

    mutating func next(_ count: Int) throws(LinkError) -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw problem("ends too early") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func next() throws(LinkError) -> UInt8 {
        try next(1).reduce(0) { $0 | $1 }
    }

    mutating func nextPair() throws(LinkError) -> Int {
        try next(2).reduce(0) { $0 << 8 | Int($1) }
    }
}
