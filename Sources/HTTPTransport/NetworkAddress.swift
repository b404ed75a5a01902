import Glibc

/// An address of IP, version 4 or 6.
struct NetworkAddress: Equatable, CustomStringConvertible {
    /// Four bytes, or sixteen.
    private let bytes: [UInt8]

    /// The address in a socket's address; nil for other families.
    init?(_ address: UnsafeRawPointer, family: Int32) {
        switch family {
        case AF_INET:
            let place = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 0
            bytes = Array(UnsafeRawBufferPointer(start: address + place, count: 4))
        case AF_INET6:
            let place = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 0
            bytes = Array(UnsafeRawBufferPointer(start: address + place, count: 16))
        default: return nil
        }
    }

    /// Reads an address as it is written.
    init?(_ text: String) {
        let isLong = text.contains(":")
        var bytes = [UInt8](repeating: 0, count: isLong ? 16 : 4)
        guard inet_pton(isLong ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
        self.bytes = bytes
    }

    var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    // MARK: - The public internet

    /// Whether the address is one of the public internet: by IANA's registries of special addresses
    /// it is reachable from everywhere.
    var isPublic: Bool {
        if bytes.count == 4 { return !Self.special4.contains(where: isWithin) }
        if let embedded { return embedded.isPublic }
        // Of version 6 only this eighth is given out.
        return isWithin(Block("2000::", 3)) && !Self.special6.contains(where: isWithin)
    }

    /// The address of version 4 that one of version 6 stands for, mapped or translated.
    private var embedded: NetworkAddress? {
        guard isWithin(Block("::ffff:0:0", 96)) || isWithin(Block("64:ff9b::", 96)) else {
            return nil
        }
        return NetworkAddress(bytes: Array(bytes.suffix(4)))
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Addresses that begin with the same bits.
    private struct Block {
        let start: NetworkAddress?
        let bits: Int

        init(_ start: String, _ bits: Int) {
            self.start = NetworkAddress(start)
            self.bits = bits
        }
    }

    private func isWithin(_ block: Block) -> Bool {
        guard let start = block.start, start.bytes.count == bytes.count else { return false }
        return (0..<block.bits).allSatisfy { bit in
            (bytes[bit / 8] ^ start.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
        }
    }

    private static let special4 = [
        Block("0.0.0.0", 8), Block("10.0.0.0", 8), Block("100.64.0.0", 10), Block("127.0.0.0", 8),
        Block("169.254.0.0", 16), Block("172.16.0.0", 12), Block("192.0.0.0", 24),
        Block("192.0.2.0", 24), Block("192.88.99.0", 24), Block("192.168.0.0", 16),
        Block("198.18.0.0", 15), Block("198.51.100.0", 24), Block("203.0.113.0", 24),
        Block("224.0.0.0", 3),
    ]

    /// Protocols' own, documentation, and the tunnel 6to4, which leads to any address of version 4.
    private static let special6 = [
        Block("2001::", 23), Block("2001:db8::", 32), Block("2002::", 16), Block("3fff::", 20),
    ]
}
