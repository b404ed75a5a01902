import ArgumentParser
import Diffusion
import Foundation
import Testing

@testable import dreamfarm

@Suite("What a render tells beside its picture")
struct RenderNoteTests {
    private func pipeline(_ arguments: [String] = []) async throws -> RenderPipeline {
        let model = "\(TaskFolder.goldens)/two-references/model"
        let command = try RenderCommand.parse(
            ["--model", model, "--threads", "1", "--prompt", "a"] + arguments
        )
        let plan = try RenderPlan(
            model: command.model,
            picture: command.picture,
            output: command.output
        )
        return try await plan.makePipeline(cache: nil) { _ in }
    }

    /// The warnings about a prompt of `words` words.
    private func warnings(words: Int, maxTextTokens: Int) async throws -> [String] {
        let pipeline = try await pipeline()
        var lines: [String] = []
        pipeline.log = { lines.append($0) }
        var request = RenderRequest(
            prompt: [String](repeating: "cat", count: words).joined(separator: " "),
            width: 32,
            height: 32,
            steps: 1,
            guidance: 1,
            seed: 0,
            refRes: 32
        )
        request.maxTextTokens = maxTextTokens
        try pipeline.encodeConditions(of: [request])
        return lines.filter { $0.hasPrefix("warning: ") }
    }

    @Test("each text encoder that sees a part of the prompt only is named")
    func longPrompts() async throws {
        #expect(try await warnings(words: 1, maxTextTokens: 512) == [])
        let long = try await warnings(words: 90, maxTextTokens: 512)
        #expect(
            long == [
                "warning: the prompt is longer than 77 CLIP tokens: CLIP sees its beginning alone,"
                    + " so put what sets the style first"
            ]
        )
        let both = try await warnings(words: 90, maxTextTokens: 8)
        #expect(both.count == 2 && both[1] == long[0])
        #expect(
            both[0] == "warning: the prompt is longer than 8 T5 tokens: its end is not seen"
        )
    }

    @Test(
        "the settings of a picture are said with the adapters",
        arguments: [
            ([], "DreamO v1.1 with turbo"), (["--no-turbo"], "DreamO v1.1"),
            (["--adapters", "none"], "plain FLUX"),
        ] as [([String], String)]
    )
    func settings(arguments: [String], adapters: String) async throws {
        let summary = try await pipeline(arguments).adapters.summary
        #expect(summary == adapters)
        let request = RenderRequest(
            prompt: "a",
            width: 1024,
            height: 768,
            steps: 12,
            guidance: 4.5,
            seed: 7,
            refRes: 512
        )
        #expect(
            ProgressDisplay.settings(of: request, adapters: summary)
                == "1024x768, 12 steps, guidance 4.5, \(adapters), seed 7"
        )
    }
}
