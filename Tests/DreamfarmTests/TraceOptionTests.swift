import FarmClient
import FarmModel
import Foundation
import TestSupport
import Testing

/// What the programs make of the settings of traces, and `submit` of a trace that it is part of.
@Suite("Options of traces", .database, .timeLimit(.minutes(10)))
struct TraceOptionTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    /// Submits a job, and returns the trace that it is part of and what the command said of that.
    private func submit(
        _ flags: [String],
        traceparent: String? = nil,
        to farm: CommandFarm
    ) async throws -> (trace: String?, lines: [String]) {
        try Data("parameters: {prompt: a}".utf8)
            .write(to: URL(filePath: farm.folder).appending(path: "job.yaml"))
        let run = try await farm.run(
            ["submit", "job.yaml"] + flags,
            environment: traceparent.map { ["TRACEPARENT": $0] } ?? [:]
        )
        #expect(run.status == 0, "\(run.lines)")
        let job = try await farm.client.job(try #require(run.outputLines.first))
        return (job.trace, run.lines.filter { $0.hasPrefix("trace ") })
    }

    @Test("submit takes the trace of its environment, makes one, and says which")
    func submitting() async throws {
        try await CommandFarm.run { farm in
            _ = try await farm.worker("one")
            let own = try await submit(["--trace"], to: farm)
            let trace = try #require(own.trace)
            #expect(own.lines == ["trace \(trace)"])
            let outer = "00-\(Self.trace)-b7ad6b7169203331-00"
            let inner = try await submit([], traceparent: outer, to: farm)
            #expect(inner.trace == Self.trace && inner.lines == [])
            let kept = try await submit(["--trace"], traceparent: outer, to: farm)
            #expect(kept.trace == Self.trace && kept.lines == ["trace \(Self.trace)"])
            let none = try await submit([], traceparent: "00-\(Self.trace)-1-01", to: farm)
            #expect(none.trace == nil && none.lines == [])
        }
    }

    @Test("check shows where traces go, and nothing of what is secret")
    func check() throws {
        let folder = FileManager.default.temporaryDirectory.path
        let run = try CommandRun.run(
            program: "dreamfarm-coordinator",
            [
                "check", "--data-dir", "\(folder)/none-\(UUID().uuidString)",
                "--otlp-endpoint", "http://me:sesame@c:4318",
                "--otlp-headers", "authorization=sesame", "--trace-sample", "10%",
            ],
            inFolder: folder
        )
        #expect(run.status == 0, "\(run.lines)")
        let lines = run.outputLines
        for line in [
            "otlp-endpoint: http://c:4318/v1/traces  # ", "otlp-headers: (hidden)  # ",
            "trace-sample: 10.0%  # ",
        ] {
            #expect(lines.contains { $0.hasPrefix(line) }, "\(lines)")
        }
        #expect(!(lines + run.lines).contains { $0.contains("sesame") })
    }

    @Test(
        "a setting of traces that is none ends a program, which says what is wanted and no secret",
        arguments: [
            ["dreamfarm-coordinator", "serve"], ["dreamfarm-worker", "run", "--model", "m"],
        ]
    )
    func wrong(program: [String]) throws {
        let run = try CommandRun.run(
            program: program[0],
            Array(program[1...]) + ["--otlp-headers", "sesame"],
            inFolder: FileManager.default.temporaryDirectory.path
        )
        #expect(run.status == 2)
        #expect(run.lines.contains { $0.contains("--otlp-headers must be like ") }, "\(run.lines)")
        #expect(!run.lines.contains { $0.contains("sesame") })
    }
}
