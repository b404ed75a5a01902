import Testing

@testable import FarmClient

@Suite("Frames of an event stream")
struct EventStreamReaderTests {
    private static let stream = """
        : begin
        id: 7
        event: image.delivered
        data: {"number":7}

        event:step
        data: a
        data:b

        :

        id: 8
        data: last


        """

    private static let frames = [
        EventStreamReader.Frame(id: "7", event: "image.delivered", data: #"{"number":7}"#),
        EventStreamReader.Frame(id: nil, event: "step", data: "a\nb"),
        EventStreamReader.Frame(id: "8", event: "", data: "last"),
    ]

    @Test(
        "are the same however the bytes were cut, and with either end of line",
        arguments: [1, 2, 3, 7, 64, 4096],
        ["\n", "\r\n"]
    )
    func cuts(size: Int, end: String) {
        let bytes = Array(
            Self.stream.split(separator: "\n", omittingEmptySubsequences: false)
                .joined(separator: end).utf8
        )
        var reader = EventStreamReader()
        var frames: [EventStreamReader.Frame] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            reader.append(bytes[start..<min(start + size, bytes.count)])
            while let frame = reader.next() { frames.append(frame) }
        }
        #expect(frames == Self.frames)
    }

    @Test("a frame that is not over is not given")
    func unfinished() {
        var reader = EventStreamReader()
        reader.append(Array("id: 1\ndata: x\n".utf8))
        #expect(reader.next() == nil)
        reader.append(Array("\n".utf8))
        #expect(reader.next() == EventStreamReader.Frame(id: "1", event: "", data: "x"))
        #expect(reader.next() == nil)
    }
}
