import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
    /// The body as a message, at most `limit` bytes long.
    func message<Message: Decodable>(
        _ type: Message.Type = Message.self,
        limit: Int = 1 << 20
    ) async throws -> Message {
        try Self.decode(await bodyData(limit: limit))
    }

    /// The body as a message, or `standard` where there is no body.
    func message<Message: Decodable>(
        or standard: Message,
        limit: Int = 1 << 20
    ) async throws -> Message {
        let data = try await bodyData(limit: limit)
        return data.isEmpty ? standard : try Self.decode(data)
    }

    private static func decode<Message: Decodable>(_ data: Data) throws -> Message {
        guard !holdsNUL(data) else {
            throw CoordinatorProblem(.malformed, "the body holds a NUL character; remove it")
        }
        do {
            return try FarmJSON.decode(from: data)
        } catch let error as DecodingError {
            throw CoordinatorProblem(.malformed, describe(error))
        }
    }

    /// Whether JSON holds `\u0000`, which the database has no place for.
    private static func holdsNUL(_ json: Data) -> Bool {
        var rest = json[...]
        while let escape = rest.firstIndex(of: UInt8(ascii: "\\")) {
            rest = rest[escape...].dropFirst()
            if rest.starts(with: "u0000".utf8) { return true }
            rest = rest.dropFirst()
        }
        return false
    }

    /// The body's bytes, at most `limit` of them.
    func bodyData(limit: Int) async throws -> Data {
        let buffer: ByteBuffer
        do {
            buffer = try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw CoordinatorProblem(.tooLarge, "the body is longer than \(limit) bytes")
        }
        return Data(buffer.readableBytesView)
    }

    /// Whether a key of the query says yes.
    func flag(_ name: String) throws -> Bool {
        switch uri.queryParameters.get(name) {
        case nil, "false", "0": return false
        case "true", "1", "": return true
        case let text?:
            throw CoordinatorProblem(
                .malformed,
                "'\(name)' in the query is true or false, not '\(text)'"
            )
        }
    }

    /// The whole number that a key of the query has; nil where there is no such key.
    func integer(_ name: String) throws -> Int64? {
        guard let text = uri.queryParameters.get(name) else { return nil }
        guard let number = Int64(text) else {
            throw CoordinatorProblem(
                .malformed,
                "'\(name)' in the query is a whole number, not '\(text)'"
            )
        }
        return number
    }

    /// The moment that a key of the query has; nil where there is no such key.
    func moment(_ name: String) throws -> Date? {
        guard let text = uri.queryParameters.get(name) else { return nil }
        guard let moment = FarmJSON.date(text) else {
            throw CoordinatorProblem(
                .malformed,
                "'\(name)' in the query is a moment as 2026-11-29T08:00:00Z, not '\(text)'"
            )
        }
        return moment
    }

    private static func describe(_ error: DecodingError) -> String {
        let what = "the body is not the message of this route"
        let path: [any CodingKey]
        switch error {
        case .keyNotFound(let key, let context): path = context.codingPath + [key]
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            path = context.codingPath
        @unknown default: return what
        }
        let place = path.map(\.stringValue).joined(separator: ".")
        return place.isEmpty ? what : "\(what): look at '\(place)'"
    }
}

extension Response {
    /// A message as JSON.
    init(
        message: some Encodable,
        status: HTTPTypes.HTTPResponse.Status = .ok
    ) throws {
        let data = try FarmJSON.encode(message)
        self.init(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: data))
        )
    }
}

/// How much of a list a request wants, and from where.
struct PageRequest {
    /// How many things a page has where nothing is said, and at most.
    static let standardSize = 100
    static let largestSize = 1000

    /// The cursor that the page before ended with.
    var after: String?
    var limit: Int

    /// What is read of a query.
    static let queryKeys = ["after", "limit"]

    /// Reads `after` and `limit` of a query.
    init(_ request: Request) throws {
        let query = request.uri.queryParameters
        after = query.get("after")
        guard let text = query.get("limit") else {
            limit = Self.standardSize
            return
        }
        guard let limit = Int(text), (1...Self.largestSize).contains(limit) else {
            throw CoordinatorProblem(
                .malformed,
                "'limit' in the query is a number from 1 to \(Self.largestSize)"
            )
        }
        self.limit = limit
    }

    /// The cursor as `read` understands it.
    func cursor<Value>(_ read: (String) -> Value?) throws -> Value? {
        guard let after else { return nil }
        guard let value = read(after) else {
            throw CoordinatorProblem(
                .malformed,
                "'after' in the query is no cursor of this list; take 'next' of the page before"
            )
        }
        return value
    }

    /// A page of `items`, of which one more than the limit was asked for.
    func page<Row, Item>(
        _ rows: [Row],
        cursor: (Row) -> String,
        _ view: (Row) throws -> Item
    ) rethrows -> Page<Item> {
        let isMore = rows.count > limit
        let shown = rows.prefix(limit)
        return Page(
            items: try shown.map(view),
            next: isMore ? shown.last.map(cursor) : nil
        )
    }

    /// A page of a list that is short enough to be had as a whole.
    func page<Row, Item>(
        ofAll rows: [Row],
        cursor: (Row) -> String,
        _ view: (Row) throws -> Item
    ) throws -> Page<Item> {
        var rest = rows[...]
        if let after {
            guard let index = rows.firstIndex(where: { cursor($0) == after }) else {
                throw CoordinatorProblem(
                    .malformed,
                    "'after' in the query names nothing of this list any more; begin again"
                )
            }
            rest = rows[(index + 1)...]
        }
        return try page(Array(rest.prefix(limit + 1)), cursor: cursor, view)
    }
}
