import Testing

@testable import fault_harness

@Suite struct HTTPFramerTests {
    /// Messages of one connection, and the bodies that they have.
    private static let requests = """
        PUT /v1/attempts/a/images/3?epoch=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
        GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /v1/workers/w/claim HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        4\r\nwiki\r\n5;a=b\r\npedia\r\n0\r\n\r\n\
        POST /last HTTP/1.1\r\nContent-Length: 0\r\n\r\n
        """
    private static let answers = """
        HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}\
        HTTP/1.1 304 Not Modified\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n
        """

    /// The first lines of the heads, how many messages end, and all bytes.
    private func read(
        _ text: String,
        isAnswer: Bool,
        inRunsOf size: Int
    ) -> (lines: [String], ends: Int, text: String) {
        var framer = HTTPFramer(isAnswer: isAnswer)
        let bytes = Array(text.utf8)
        let pieces = stride(from: 0, to: bytes.count, by: size).flatMap { start in
            framer.take(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        return (
            pieces.compactMap { $0.head?.line }, pieces.count(where: \.endsMessage),
            String(decoding: pieces.flatMap(\.bytes), as: UTF8.self)
        )
    }

    @Test("requests are told apart however they come, and no byte is lost", arguments: 1...70)
    func requests(size: Int) {
        let read = read(Self.requests, isAnswer: false, inRunsOf: size)
        #expect(
            read.lines == [
                "PUT /v1/attempts/a/images/3?epoch=1 HTTP/1.1", "GET /readyz HTTP/1.1",
                "POST /v1/workers/w/claim HTTP/1.1", "POST /last HTTP/1.1",
            ]
        )
        #expect(read.ends == 4)
        #expect(read.text == Self.requests)
    }

    @Test("answers are told apart, and what says to continue ends none", arguments: 1...70)
    func answers(size: Int) {
        let read = read(Self.answers, isAnswer: true, inRunsOf: size)
        #expect(read.lines.count == 4)
        #expect(read.ends == 3)
        #expect(read.text == Self.answers)
    }

    @Test("a head tells method, path and status")
    func heads() {
        let request = HTTPFramer.Head(line: "PUT /v1/blobs/x?a=b HTTP/1.1")
        #expect(request.method == "PUT")
        #expect(request.path == "/v1/blobs/x?a=b")
        #expect(HTTPFramer.Head(line: "HTTP/1.1 409 Conflict").status == 409)
    }
}
