package import FoundationEssentials

/// The body of an answer as it comes; it can be gone through once.
///
/// Not more than about a megabyte waits to be read: a slow reader slows the sender down. Dropping
/// the stream ends the exchange.
package struct HTTPByteStream: AsyncSequence, Sendable {
    private let owner: Owner

    init(_ channel: ReceivingChannel, of exchange: CurlExchange, on client: HTTPClient) {
        owner = Owner(channel: channel, exchange: exchange, client: client)
    }

    package func makeAsyncIterator() -> Iterator { Iterator(owner: owner) }

    /// Takes the bytes that have come.
    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let owner: Owner

        package mutating func next() async throws -> Data? { try await owner.next() }
    }

    /// All of the body, of which at most `limit` bytes are kept.
    package func collect(upTo limit: Int) async throws -> Data {
        var data = Data()
        for try await chunk in self where data.count < limit {
            data.append(chunk.prefix(limit - data.count))
        }
        return data
    }

    /// Keeps the exchange, and the client under it, for as long as somebody may read.
    fileprivate final class Owner: Sendable {
        private let channel: ReceivingChannel
        private let exchange: CurlExchange
        private let client: HTTPClient

        init(channel: ReceivingChannel, exchange: CurlExchange, client: HTTPClient) {
            self.channel = channel
            self.exchange = exchange
            self.client = client
        }

        deinit { exchange.cancel() }

        func next() async throws -> Data? {
            try await channel.next { exchange.resume() }
        }
    }
}
