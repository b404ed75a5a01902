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

    @Test("the seeds of a job are counted over all elements, before there are too many")
    func tooManySeeds() throws {
        let ranges = repeatElement("1-100000", count: 400).joined(separator: ", ")
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: "parameters: {prompt: a, seed: [\(ranges)]}")
        }
        #expect(
            error?.problems == [
                SpecificationProblem(
                    path: "parameters.seed[1]",
                    message: "makes more than 100000 seeds; split the job"
                )
            ]
        )
    }

    @Test("a combination may be written over lines, with parentheses that say nothing")
    func layoutOfText() throws {
        let plain = try seedsAndPrompts("prompt: [a, b], seed: 1-2", "prompt * seed")
        let written = try seedsAndPrompts(
            "prompt: [a, b], seed: 1-2",
            #""\n((prompt)\t*\r\n (seed))\u00a0""#
        )
        #expect(written == plain)
    }

    @Test("parentheses too deep in each other are refused, not followed", arguments: [33, 60_000])
    func deep(depth: Int) {
        let open = String(repeating: "(", count: depth)
        let close = String(repeating: ")", count: depth)
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(
                parsing: "parameters: {prompt: a, seed: 1}\ncombination: \(open)seed\(close)"
            )
        }
        #expect(error?.problems.map(\.path) == ["combination"])
        #expect(error?.description.contains("more than 32 deep") == true)
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
