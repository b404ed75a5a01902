import FarmModel
import Testing

/// Images by their index, against a plain enumeration.
@Suite struct RandomAccessTests {
    /// A combination as a tree, enumerated the slow way.
    private indirect enum Tree {
        case axis(String, Int)
        case product([Tree])
        case zip([Tree])

        var text: String {
            switch self {
            case .axis(let name, _): name
            case .product(let terms): "(" + terms.map(\.text).joined(separator: " * ") + ")"
            case .zip(let terms): "(" + terms.map(\.text).joined(separator: ", ") + ")"
            }
        }

        var lengths: [String: Int] {
            switch self {
            case .axis(let name, let length): [name: length]
            case .product(let terms), .zip(let terms):
                terms.reduce(into: [:]) { $0.merge($1.lengths) { first, _ in first } }
            }
        }

        var points: [[String: Int]] {
            switch self {
            case .axis(let name, let length): return (0..<length).map { [name: $0] }
            case .product(let terms):
                return terms.reduce([[:]]) { points, term in
                    points.flatMap { point in
                        term.points.map { point.merging($0) { first, _ in first } }
                    }
                }
            case .zip(let terms):
                let all = terms.map(\.points)
                return (0..<(all.first?.count ?? 0)).map { place in
                    all.reduce(into: [:]) { $0.merge($1[place]) { first, _ in first } }
                }
            }
        }
    }

    private static let trees: [Tree] = [
        .product([.axis("seed", 3), .axis("steps", 4), .axis("prompt", 2)]),
        .zip([.axis("seed", 6), .product([.axis("prompt", 2), .axis("steps", 3)])]),
        .product([
            .zip([.axis("prompt", 4), .axis("seed", 4)]), .axis("guidance", 3),
            .zip([.axis("steps", 2), .axis("ref_res", 2)]),
        ]),
        .product([
            .axis("guidance", 2),
            .zip([
                .product([.axis("seed", 2), .zip([.axis("prompt", 3), .axis("steps", 3)])]),
                .axis("ref_res", 6),
            ]),
        ]),
        .product([.axis("seed", 1), .axis("prompt", 1), .axis("steps", 5)]),
    ]

    @Test("each image has the values that the enumeration gives it", arguments: 0..<5)
    func points(tree number: Int) throws {
        let tree = Self.trees[number]
        func list(_ name: String, _ value: (Int) -> String) -> String {
            let length = tree.lengths[name] ?? 1
            return "[" + (0..<length).map(value).joined(separator: ", ") + "]"
        }
        let text = """
            parameters:
              prompt: \(list("prompt") { "p\($0)" })
              seed: \(list("seed") { "\($0)" })
              guidance: \(list("guidance") { "\($0)" })
              steps: \(list("steps") { "\($0 + 1)" })
              ref_res: \(list("ref_res") { "\(16 * ($0 + 1))" })
            combination: \(tree.text)
            output: {name: "{index}-{seed}-{prompt.index}-{steps.index}-{ref_res.index}.png"}
            """
        let job = ResolvedJob(
            try JobSpecification(parsing: text),
            model: "m",
            modelDigest: "d",
            defaults: JobSpecificationTests.defaults,
            seed: 0,
            label: "j"
        )
        let points = tree.points
        #expect(job.imageCount == points.count)
        // Any order of asking gives the same images.
        for index in points.indices.reversed() {
            let point = points[index]
            let (prompt, seed) = (point["prompt"] ?? 0, point["seed"] ?? 0)
            let (steps, side) = (point["steps"] ?? 0, point["ref_res"] ?? 0)
            let image = job.image(at: index)
            #expect(image.index == index)
            #expect(image.settings.prompt == "p\(prompt)")
            #expect(image.settings.seed == Int64(seed))
            #expect(image.settings.guidance == Double(point["guidance"] ?? 0))
            #expect(image.settings.steps == steps + 1)
            #expect(image.settings.refRes == 16 * (side + 1))
            #expect(image.name == "\(index)-\(seed)-\(prompt)-\(steps)-\(side).png")
            #expect(image.coordinates == job.coordinates(of: point))
        }
    }

    @Test("a job of the largest size is laid out without its images")
    func largest() throws {
        let job = ResolvedJob(
            try JobSpecification(
                parsing:
                    "parameters: {prompt: [a, b], seed: 1-50000}\noutput: {name: '{index}.png'}"
            ),
            model: "m",
            modelDigest: "d",
            defaults: JobSpecificationTests.defaults,
            seed: 0,
            label: "j"
        )
        #expect(job.imageCount == 100_000)
        #expect(job.image(at: 99_999).settings.seed == 50_000)
        #expect(job.image(at: 99_999).settings.prompt == "b")
        #expect(job.image(at: 49_999).settings.prompt == "a")
        #expect(job.canonicalJSON.utf8.count < 1000)
        #expect(job.canonicalJSON.contains(#""seed":"1-50000""#))
    }
}

extension ResolvedJob {
    /// A point's indices by parameter, of the axes that have several values.
    fileprivate func coordinates(of point: [String: Int]) -> [Parameter: Int] {
        var result: [Parameter: Int] = [:]
        for axis in specification.axes where axis.values.count > 1 {
            result[axis.parameter] = point[axis.parameter.rawValue] ?? 0
        }
        return result
    }
}
