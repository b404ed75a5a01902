package import FarmModel
import FoundationEssentials
import HTTPTransport

/// Something that a job's stream tells.
package enum JobSignal: Sendable {
    /// What happened, numbered: everything up to it is known.
    case event(EventView)
    /// How far a worker is; not kept, only told.
    case step(StepView)
}

extension CoordinatorClient {
    /// What happens to a job from an event on, until the connection ends.
    ///
    /// A reader that begins again with the number of the last event it saw misses none.
    package func signals(of job: JobID, after number: Int64) -> JobSignals {
        JobSignals(client: self, path: "/v1/jobs/\(job)/events", after: number)
    }
}

/// The stream of one connection.
package struct JobSignals: AsyncSequence, Sendable {
    let client: CoordinatorClient
    let path: String
    let after: Int64

    package struct AsyncIterator: AsyncIteratorProtocol {
        private let signals: JobSignals
        private var body: HTTPByteStream.Iterator?
        private var reader = EventStreamReader()

        init(_ signals: JobSignals) {
            self.signals = signals
        }

        package mutating func next() async throws -> JobSignal? {
            if body == nil {
                body = try await signals.client.stream(
                    signals.path,
                    headers: [
                        (name: "Accept", value: "text/event-stream"),
                        (name: "Last-Event-ID", value: "\(signals.after)"),
                    ]
                ).makeAsyncIterator()
            }
            while true {
                while let frame = reader.next() {
                    if let signal = JobSignal(frame) { return signal }
                }
                guard let chunk = try await body?.next() else { return nil }
                reader.append(chunk)
            }
        }
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(self)
    }
}

extension JobSignal {
    /// What a frame says; nil for a kind that this release does not know.
    fileprivate init?(_ frame: EventStreamReader.Frame) {
        let data = Data(frame.data.utf8)
        if frame.event == "step" {
            guard let step = try? FarmJSON.decode(StepView.self, from: data) else { return nil }
            self = .step(step)
        } else {
            guard let event = try? FarmJSON.decode(EventView.self, from: data) else { return nil }
            self = .event(event)
        }
    }
}

/// Reads frames of `text/event-stream` (the HTML standard's server-sent events) out of chunks.
struct EventStreamReader {
    struct Frame: Hashable {
        var id: String?
        var event = ""
        var data = ""
    }

    private var bytes: [UInt8] = []
    private var start = 0
    private var frame = Frame()
    private var dataLines: [String] = []

    mutating func append(_ chunk: some Sequence<UInt8>) {
        bytes.removeSubrange(..<start)
        start = 0
        bytes.append(contentsOf: chunk)
    }

    /// The next whole frame, or nil until more has come.
    mutating func next() -> Frame? {
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            var line = bytes[start..<end]
            start = end + 1
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if line.isEmpty {
                guard !dataLines.isEmpty else {
                    frame = Frame()
                    continue
                }
                frame.data = dataLines.joined(separator: "\n")
                defer {
                    frame = Frame()
                    dataLines = []
                }
                return frame
            }
            read(String(decoding: line, as: UTF8.self))
        }
        return nil
    }

    private mutating func read(_ line: String) {
        guard let colon = line.firstIndex(of: ":") else { return }
        var value = line[line.index(after: colon)...]
        if value.first == " " { value.removeFirst() }
        switch line[..<colon] {
        case "id": frame.id = String(value)
        case "event": frame.event = String(value)
        case "data": dataLines.append(String(value))
        default: break
        }
    }
}
