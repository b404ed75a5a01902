import Glibc

/// A kept-alive HTTP connection that blocks its thread; as little work as a load can be.
final class Connection {
    private let descriptor: Int32
    private let token: String
    private let host: String
    private var buffer: [UInt8] = []

    /// Connects to an address of this machine.
    init(host: String, port: UInt16, token: String) throws {
        self.token = token
        self.host = "\(host):\(port)"
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard status == 0 else { throw LoadError("\(host):\(port) cannot be reached") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { close(descriptor) }

    /// Sends a request and returns the status and the body of its answer.
    func send(
        _ method: String,
        _ path: String,
        _ body: [UInt8],
        type: String = "application/json"
    ) throws -> (status: Int, body: String) {
        var request = Array(
            """
            \(method) \(path) HTTP/1.1\r
            Host: \(host)\r
            Authorization: Bearer \(token)\r
            Content-Type: \(type)\r
            Content-Length: \(body.count)\r
            \r

            """.utf8
        )
        request += body
        var sent = 0
        while sent < request.count {
            let count = request[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw LoadError("the connection broke while sending") }
            sent += count
        }
        return try receive()
    }

    private func receive() throws -> (Int, String) {
        buffer.removeAll(keepingCapacity: true)
        var headEnd: Int?
        while headEnd == nil {
            try fill()
            headEnd = offset(of: "\r\n\r\n")
        }
        // "HTTP/1.1 200 OK"
        guard let headEnd, buffer.count > 12, let status = number(at: 9) else {
            throw LoadError("the answer is not HTTP")
        }
        let field: StaticString = "content-length: "
        let length = offset(of: field).flatMap { number(at: $0 + field.utf8CodeUnitCount) } ?? 0
        while buffer.count < headEnd + 4 + length { try fill() }
        return (status, String(decoding: buffer[(headEnd + 4)...], as: UTF8.self))
    }

    /// Where a text begins in what was received, whatever the case of its ASCII letters.
    private func offset(of text: StaticString) -> Int? {
        text.withUTF8Buffer { text in
            buffer.withUnsafeBytes { bytes in
                (0..<max(0, bytes.count - text.count + 1)).first { start in
                    text.indices.allSatisfy { bytes[start + $0] | 0x20 == text[$0] | 0x20 }
                }
            }
        }
    }

    private func number(at start: Int) -> Int? {
        let digits = buffer[start...].prefix { (48...57).contains($0) }
        return digits.isEmpty ? nil : digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    private func fill() throws {
        var piece = [UInt8](repeating: 0, count: 16_384)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count > 0 else { throw LoadError("the connection broke while receiving") }
        buffer += piece[..<count]
    }
}

/// Why the load cannot go on.
struct LoadError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension String {
    /// The text behind a key of a flat JSON object, up to the end of its value.
    func value(of key: String) -> String? {
        let mark = Array("\"\(key)\":".utf8)
        return utf8.withContiguousStorageIfAvailable { text -> String? in
            let starts = 0..<max(0, text.count - mark.count)
            guard let start = starts.first(where: { text[$0...].starts(with: mark) }) else {
                return nil
            }
            var rest = text[(start + mark.count)...]
            if rest.first == UInt8(ascii: "\"") {
                rest = rest.dropFirst()
                return String(decoding: rest.prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
            }
            let ends = Array(",}]".utf8)
            return String(decoding: rest.prefix { !ends.contains($0) }, as: UTF8.self)
        } ?? nil
    }
}
