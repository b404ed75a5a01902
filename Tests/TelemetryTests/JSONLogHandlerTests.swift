import Foundation
import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite struct JSONLogHandlerTests {
    /// What was written.
    private final class Lines: Sendable {
        private let state = Mutex<[String]>([])

        var all: [String] { state.withLock(\.self) }

        func logger(_ provider: Logger.MetadataProvider? = nil) -> Logger {
            Logger(label: "a label") { [self] label in
                JSONLogHandler(
                    label: label,
                    metadataProvider: provider,
                    now: { Timestamp(nanoseconds: 1_796_155_200_000_012_999) },
                    write: { [self] line in state.withLock { $0.append(line) } }
                )
            }
        }
    }

    private func object(_ line: String?) throws -> [String: Any] {
        let line = try #require(line)
        #expect(line.hasSuffix("}\n"))
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(value as? [String: Any])
    }

    @Test("a line has its time, level, label, message and the ids as keys of their own")
    func keys() throws {
        let lines = Lines()
        var logger = lines.logger()
        logger[metadataKey: "worker"] = "w"
        logger.info("Task claimed", metadata: ["job": "j", "images": .stringConvertible(3)])
        let text = """
            {"timestamp":"2026-12-01T20:00:00.000012Z","level":"info","label":"a label",\
            "message":"Task claimed","images":"3","job":"j","worker":"w"}\n
            """
        #expect(lines.all == [text])
    }

    @Test("nothing ends a line or orders a terminal about, and the text is the same again")
    func escapes() throws {
        let lines = Lines()
        let text =
            (0...0x2030).compactMap(Unicode.Scalar.init)
            .reduce(into: "") { $0.unicodeScalars.append($1) } + "😀 \"quoted\" \\ \r\n"
        lines.logger().error("\(text)", metadata: ["a \"key\"\n": "\(text)"])
        let line = try #require(lines.all.first)
        let escaped = line.dropLast().unicodeScalars.filter {
            $0.properties.generalCategory == .control || $0 == "\u{2028}" || $0 == "\u{2029}"
        }
        #expect(escaped.isEmpty)
        let object = try object(line)
        #expect(object["message"] as? String == text)
        #expect(object["a \"key\"\n"] as? String == text)
    }

    @Test("lists and mappings keep their form")
    func nested() throws {
        let lines = Lines()
        lines.logger().info("x", metadata: ["all": ["one", ["two": "2", "three": []]]])
        let all = try #require(try object(lines.all.first)["all"] as? [Any])
        #expect(all.first as? String == "one")
        let mapping = try #require(all.last as? [String: Any])
        #expect(mapping["two"] as? String == "2")
        #expect((mapping["three"] as? [Any])?.isEmpty == true)
    }

    @Test("metadata takes no key of the line itself, and each key is there once")
    func ownKeys() throws {
        let lines = Lines()
        lines.logger().info("said", metadata: ["message": "other", "level": "high"])
        let line = try #require(lines.all.first)
        #expect(line.contains(#""level":"info""#) && line.contains(#""message":"said""#))
        #expect(line.contains(#""level_":"high""#) && line.contains(#""message_":"other""#))
    }

    @Test("what the moment gives stands over the logger's, and the line's own over both")
    func precedence() throws {
        let lines = Lines()
        var logger = lines.logger(
            Logger.MetadataProvider { ["trace_id": "now", "a": "now", "b": "now"] }
        )
        logger[metadataKey: "a"] = "logger"
        logger.info("x", metadata: ["b": "line"])
        let object = try object(lines.all.first)
        #expect(object["trace_id"] as? String == "now")
        #expect(object["a"] as? String == "now")
        #expect(object["b"] as? String == "line")
    }

    @Test("a level below the logger's is not written")
    func levels() {
        let lines = Lines()
        var logger = lines.logger()
        logger.debug("x")
        #expect(lines.all.isEmpty)
        logger.logLevel = .debug
        logger.debug("x")
        #expect(lines.all.count == 1)
    }

    @Test("each format has its handler")
    func formats() {
        #expect(LogFormat.json.handler(label: "x") is JSONLogHandler)
        #expect(LogFormat.text.handler(label: "x") is StreamLogHandler)
        for format in LogFormat.allCases {
            #expect(format.handler(label: "x", .trace).metadataProvider != nil)
        }
    }
}
