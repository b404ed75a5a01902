import FoundationEssentials

/// Finds where the messages of an HTTP/1.1 connection begin and end, in one direction.
struct HTTPFramer: Sendable {
    /// A run of bytes that belongs to one message.
    struct Piece: Sendable {
        var bytes: [UInt8]
        /// The message's head, in the piece that completes it; all earlier bytes of it are in this piece.
        var head: Head?
        var endsMessage = false
    }

    /// The first line of a message, and what is said of its body.
    struct Head: Sendable {
        var line: String
        /// How many bytes the body has, where that is said.
        var length: Int?
        var isChunked = false

        /// The method of a request.
        var method: Substring { line.prefix { $0 != " " } }
        /// The path and query of a request.
        var path: Substring { line.drop { $0 != " " }.dropFirst().prefix { $0 != " " } }
        /// The status of an answer.
        var status: Int {
            Int(line.drop { $0 != " " }.dropFirst().prefix { $0 != " " }) ?? 0
        }
    }

    private enum State: Sendable {
        case head
        case body(left: Int)
        /// A line of a chunked body; `isLast` behind the chunk of no bytes.
        case chunkLine(isLast: Bool)
        case chunk(left: Int)
    }

    private let isAnswer: Bool
    private var state = State.head
    private var pending: [UInt8] = []

    init(isAnswer: Bool) { self.isAnswer = isAnswer }

    /// Takes what has come, and returns it in pieces; the bytes of a head that is not whole are kept back.
    mutating func take(_ bytes: [UInt8]) -> [Piece] {
        var pieces: [Piece] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            switch state {
            case .head:
                guard let piece = takeHead(&rest) else { return pieces }
                pieces.append(piece)
            case .body(let left):
                let part = rest.prefix(left)
                rest = rest.dropFirst(part.count)
                state = left == part.count ? .head : .body(left: left - part.count)
                pieces.append(Piece(bytes: Array(part), endsMessage: left == part.count))
            case .chunkLine(let isLast):
                guard let end = rest.firstIndex(of: 10) else {
                    pending += rest
                    return pieces
                }
                let line = pending + rest[...end]
                pending = []
                rest = rest[(end + 1)...]
                let isEmpty = line.allSatisfy { $0 == 13 || $0 == 10 }
                let text = String(decoding: line, as: UTF8.self).prefix { $0.isHexDigit }
                let size = Int(text, radix: 16)
                // A chunk's own line end, or the last line of all, is empty.
                var ends = false
                if isEmpty, isLast {
                    (state, ends) = (.head, true)
                } else if let size, !isEmpty, !isLast {
                    state = size == 0 ? .chunkLine(isLast: true) : .chunk(left: size)
                }
                pieces.append(Piece(bytes: line, endsMessage: ends))
            case .chunk(let left):
                let part = rest.prefix(left)
                rest = rest.dropFirst(part.count)
                state =
                    left == part.count ? .chunkLine(isLast: false) : .chunk(left: left - part.count)
                pieces.append(Piece(bytes: Array(part)))
            }
        }
        return pieces
    }

    private mutating func takeHead(_ rest: inout ArraySlice<UInt8>) -> Piece? {
        while let byte = rest.popFirst() {
            pending.append(byte)
            guard byte == 10, pending.suffix(4) == [13, 10, 13, 10] else { continue }
            let bytes = pending
            pending = []
            let head = Self.head(of: bytes)
            let hasNoBody =
                isAnswer
                ? head.status < 200 || head.status == 204 || head.status == 304
                : head.length == nil && !head.isChunked
            if hasNoBody || head.length == 0 {
                // What says "continue" is followed by the answer itself.
                return Piece(bytes: bytes, head: head, endsMessage: !isAnswer || head.status >= 200)
            }
            state =
                head.isChunked
                ? .chunkLine(isLast: false) : .body(left: head.length ?? .max)
            return Piece(bytes: bytes, head: head)
        }
        return nil
    }

    private static func head(of bytes: [UInt8]) -> Head {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        var head = Head(line: lines.first.map(String.init) ?? "")
        for line in lines.dropFirst() {
            let lowered = line.lowercased()
            if lowered.hasPrefix("content-length:") {
                head.length = Int(lowered.dropFirst(15).filter(\.isNumber))
            } else if lowered.hasPrefix("transfer-encoding:"), lowered.contains("chunked") {
                head.isChunked = true
            }
        }
        return head
    }
}
