import FarmModel
import Testing

@Suite struct ExpansionTests {
    private func seedsAndPrompts(_ parameters: String, _ combination: String?) throws -> [String] {
        var text = "parameters: {\(parameters)}\noutput: {name: '{index}.png'}"
        if let combination { text += "\ncombination: \(combination)" }
        let defaults = ModelDefaults(width: 64, height: 64, refRes: 64, steps: 4, guidance: 1)
        return try JobSpecification(parsing: text)
            .images(defaults: defaults, seed: 0, label: "job")
            .map { "\($0.settings.prompt)\($0.settings.seed)/\($0.settings.steps)" }
    }

    @Test(
        "axes combine as the expression says",
        arguments: [
            (nil, ["a1/4", "a2/4", "b1/4", "b2/4"]),
            ("prompt * seed", ["a1/4", "a2/4", "b1/4", "b2/4"]),
            ("seed * prompt", ["a1/4", "b1/4", "a2/4", "b2/4"]),
            ("(prompt, seed)", ["a1/4", "b2/4"]),
            ("seed", ["a1/4", "b1/4", "a2/4", "b2/4"]),
            ("(seed)", ["a1/4", "b1/4", "a2/4", "b2/4"]),
            ("steps * (prompt, seed)", ["a1/4", "b2/4"]),
        ]
    )
    func combination(expression: String?, expected: [String]) throws {
        #expect(try seedsAndPrompts("prompt: [a, b], seed: 1-2", expression) == expected)
    }

    @Test("a zip of a product walks both in step")
    func nested() throws {
        #expect(
            try seedsAndPrompts(
                "prompt: [a, b], steps: [1, 2], seed: 1-4",
                "(prompt * steps, seed)"
            ) == ["a1/1", "a2/2", "b3/1", "b4/2"]
        )
    }

    @Test(
        "seeds are numbers, ranges and ranges with a step",
        arguments: [
            ("7", [7]),
            ("1-4", [1, 2, 3, 4]),
            ("1-10:4", [1, 5, 9]),
            ("'1,4, 9'", [1, 4, 9]),
            ("'1-2,8-10:2'", [1, 2, 8, 10]),
            ("[3, 5-6]", [3, 5, 6]),
            ("9223372036854775807", [Int64.max]),
        ]
    )
    func seeds(text: String, expected: [Int64]) throws {
        #expect(try seedsAndPrompts("prompt: a, seed: \(text)", nil) == expected.map { "a\($0)/4" })
    }

    @Test("an axis may have values of the names of output files")
    func names() throws {
        let job = try JobSpecification(
            parsing: """
                parameters: {prompt: [a, b], size: [64x32, 32x64], guidance: [1, 2.5]}
                output: {name: "{width}-{height}/{prompt.index}{size.index}-g{guidance}-{size}.png"}
                """
        )
        let defaults = ModelDefaults(width: 64, height: 64, refRes: 64, steps: 4, guidance: 1)
        let names = job.images(defaults: defaults, seed: 0, label: "j").map(\.name)
        #expect(names.count == 8)
        #expect(names.first == "64-32/00-g1-64x32.png")
        #expect(names.last == "32-64/11-g2.5-32x64.png")
    }

    @Test(
        "a name is safe when it stays in its folder",
        arguments: [
            ("a.png", true), ("a/b.png", true), ("../a", false), ("a/../b", false), ("/a", false),
            ("a//b", false), ("", false), ("a\u{0}", false), ("a\\b", false), (".", false),
        ]
    )
    func safety(name: String, isSafe: Bool) {
        #expect(OutputName.isSafe(name) == isSafe)
    }
}
