import Networks
import Tensors
import Testing

@testable import Diffusion

@Suite struct AdapterMergeTests {
    private let targets = AdapterTargets(configuration: adapterConfiguration)

    private func source(
        _ fixture: String,
        strength: Float = 1,
        threads: Int = 1
    ) throws
        -> AdaptedSource
    {
        let file = try AdapterFile(
            path: adapterFixture(fixture),
            origin: .user,
            targets: targets
        )
        let adapter = WeightedAdapter(file: file, strength: strength)
        return AdaptedSource(base: FormulaSource(), adapters: [adapter], threads: threads)
    }

    @Test(
        "attention pairs merge alike in DreamO's, XLabs' and split names",
        arguments: [
            "dreamo", "dreamo_infix", "dreamo_alpha", "dreamo_split", "xlabs", "xlabs_prefixed",
        ]
    )
    func attention(fixture: String) throws {
        try expectMerged(try source(fixture), equals: "attention_merged", tolerance: 1e-6)
    }

    @Test(
        "pairs for every Linear merge alike in kohya's, BFL's and PEFT's names",
        arguments: ["kohya", "kohya_diffusers", "bfl", "peft"]
    )
    func everyLinear(fixture: String) throws {
        try expectMerged(try source(fixture), equals: "full_merged", tolerance: 1e-6)
    }

    @Test("a strength of zero leaves the weight as it was, and counts as read")
    func zeroStrength() throws {
        let adapted = try source("peft", strength: 0)
        let name = "transformer_blocks.1.attn.to_k.weight"
        #expect(try adapted.tensor(name, [8, 8]) == FormulaSource().tensor(name, [8, 8]))
        #expect(!adapted.unusedTargets().contains("transformer_blocks.1.attn.to_k"))
    }

    @Test("a tensor that no adapter changes is the base's")
    func untouched() throws {
        let name = "transformer_blocks.1.attn.to_k.bias"
        #expect(try source("peft").tensor(name, [8]) == FormulaSource().tensor(name, [8]))
    }

    @Test("text-encoder keys are skipped with a warning that counts them")
    func textEncoder() throws {
        let file = try AdapterFile(path: adapterFixture("kohya"), origin: .user, targets: targets)
        #expect(file.skippedTextEncoderKeys == 2)
        #expect(file.warnings == ["\(file.path): 2 text-encoder keys were skipped"])
        #expect(file.pairCount == 36)
        #expect(file.ranks == [2])
    }

    @Test("modules that the model never reads are named")
    func unused() throws {
        let adapted = try source("dreamo")
        for block in 0..<2 {
            _ = try adapted.tensor("transformer_blocks.\(block).attn.to_q.weight", [8, 8])
        }
        let unused = adapted.unusedTargets()
        #expect(unused.count == 2 * 8 + 2 * 4 - 2)
        #expect(unused.first == "single_transformer_blocks.0.attn.to_k")
        #expect(throws: AdapterError.unusedTargets(modules: unused)) {
            try adapted.requireAllUsed()
        }
    }

    @Test("a weight of another shape than the pair's is refused")
    func otherShape() throws {
        let adapted = try source("dreamo")
        #expect(throws: AdapterError.self) {
            _ = try adapted.tensor("transformer_blocks.0.attn.to_q.weight", [8, 4])
        }
    }
}

@Suite struct MatrixProductTests {
    @Test(
        "the product equals the sum of products, whatever the thread count",
        arguments: [(1, 1, 1), (3, 5, 2), (255, 7, 3), (257, 9, 16), (700, 33, 8)]
    )
    func product(m: Int, n: Int, k: Int) {
        func values(_ count: Int, _ step: Int) -> [Float] {
            (0..<count).map { Float(($0 * step) % 23 - 11) / 16 }
        }
        let (a, b, before) = (values(m * k, 7), values(k * n, 5), values(m * n, 3))
        var results: [[Float]] = []
        for threads in [1, 2, 3] {
            var c = before
            c.withUnsafeMutableBufferPointer { c in
                a.withUnsafeBufferPointer { a in
                    b.withUnsafeBufferPointer { b in
                        matrixProduct(
                            c,
                            a,
                            b,
                            m: m,
                            n: n,
                            k: k,
                            alpha: 0.5,
                            beta: 1,
                            threads: threads
                        )
                    }
                }
            }
            results.append(c)
        }
        #expect(results[0] == results[1] && results[0] == results[2])
        for row in 0..<m {
            for column in 0..<n {
                var sum = before[row * n + column]
                for i in 0..<k {
                    sum += 0.5 * a[row * k + i] * b[i * n + column]
                }
                #expect(abs(results[0][row * n + column] - sum) < 1e-4)
            }
        }
    }
}
