import FarmClient
import FarmModel
import Foundation
import TestSupport
import Testing

@testable import dreamfarm

@Suite("Pictures of a farm on standard output", .database, .timeLimit(.minutes(10)))
struct DownloadTests {
    @Test("the picture of a job of one is written as it is, once it is delivered")
    func one() async throws {
        try await CommandFarm.run { farm in
            let worker = try await farm.worker("one")
            let job = try await farm.submit("parameters: {prompt: a}", key: "only")
            let early = try await farm.run(["download", "only", "--to", "-"])
            #expect(early.status == 1 && early.output.isEmpty)
            #expect(early.errors.count == 1 && early.errors[0].contains("dreamfarm wait only"))
            try await worker.deliver(worker.claim())
            let run = try await farm.run(["download", job.id.description, "--output", "-"])
            #expect(run.status == 0 && run.lines == [], "\(run.lines)")
            #expect(try run.output == CommandFarm.picture(0))
        }
    }

    @Test("several pictures come as one zip file, and what is missing is told beside it")
    func several() async throws {
        try await CommandFarm.run { farm in
            let worker = try await farm.worker("one")
            let job = try await farm.submit(
                """
                parameters: {prompt: a, seed: 1-3}
                chunk: {count: 1}
                output: {name: "{index}.png"}
                """
            )
            for _ in 0..<2 { try await worker.deliver(worker.claim()) }
            let run = try await farm.run(["download", job.id.description, "--to", "-"])
            #expect(run.status == 0, "\(run.lines)")
            #expect(run.lines == ["1 of 3 images are not delivered"])
            #expect(
                try storedFiles(of: run.output)
                    == ["0.png": CommandFarm.picture(0), "1.png": CommandFarm.picture(1)]
            )
        }
    }

    /// The files of a zip file that are stored as they are, by their local headers.
    private func storedFiles(of zip: Data) throws -> [String: Data] {
        let bytes = [UInt8](zip)
        func number(_ place: Int, _ count: Int) -> Int {
            bytes[place..<place + count].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var files: [String: Data] = [:]
        var place = 0
        while bytes[place..<place + 4] == [0x50, 0x4b, 3, 4] {
            try #require(number(place + 8, 2) == 0)
            let (size, name, extra) = (
                number(place + 18, 4), number(place + 26, 2), number(place + 28, 2)
            )
            let start = place + 30
            let text = String(decoding: bytes[start..<start + name], as: UTF8.self)
            let data = start + name + extra
            files[text] = Data(bytes[data..<data + size])
            place = data + size
        }
        #expect(bytes[place..<place + 4] == [0x50, 0x4b, 1, 2])
        return files
    }

    @Test("pictures are shown behind their paths, as they are")
    func shown() async throws {
        try await CommandFarm.run { farm in
            let worker = try await farm.worker("one")
            let job = try await farm.submit(
                "parameters: {prompt: a, seed: [1, 2]}\nchunk: {count: 1}\noutput: {name: \"{index}.png\"}"
            )
            for _ in 0..<2 { try await worker.deliver(worker.claim()) }
            let run = try await farm.run(
                ["download", job.id.description, "--to", "out", "--show"],
                terminal: try PseudoTerminal()
            )
            #expect(run.status == 0, "\(run.lines)")
            let pictures = try [0, 1].map { try CommandFarm.picture($0).picture }
            #expect(try TerminalScreen(run.output).kitty.map { try $0.picture } == pictures)
            let text = String(decoding: run.output, as: UTF8.self)
            let first = try #require(text.range(of: "out/0.png"))
            let escape = try #require(text.range(of: "\u{1b}_G"))
            #expect(first.upperBound < escape.lowerBound)
        }
    }

    @Test("what does not go together is refused before anything is asked of the farm")
    func refused() async throws {
        let folder = try TaskFolder()
        for (arguments, word) in [
            (["--to", "-", "--contact-sheet", "s.png"], "--contact-sheet"),
            (["--to", "-", "-o", "json"], "-o json"),
        ] {
            let run = try await CommandFarm.run(
                ["download", "job"] + arguments,
                in: folder.path,
                environment: [:]
            )
            #expect(run.status == 2)
            #expect(run.errors.count == 1 && run.errors[0].contains(word), "\(run.lines)")
        }
        let terminal = try await CommandFarm.run(
            ["download", "job", "--to", "-"],
            in: folder.path,
            terminal: try PseudoTerminal(),
            environment: [:]
        )
        #expect(terminal.status == 1)
        #expect(terminal.errors.count == 1 && terminal.errors[0].contains("--force"))
    }
}
