import FoundationEssentials
import GoldenSupport
import Imaging
import Testing

@testable import Diffusion

/// What a picture's file says, read back.
@Suite
struct ProvenanceTests {
    private let picture = PixelImage(width: 2, height: 2, level: 7)

    private static let text = """
        {"adapters":[{"digest":"aa","name":"dreamo.safetensors","weight":1},\
        {"digest":"bb","name":"dreamo_dpo_lora.safetensors","weight":1.25},\
        {"digest":"cc","name":"grain.safetensors","weight":-0.8}],\
        "model":"dd","numericClass":{"engine":"1","kernels":"k","precision":"float32"},\
        "prompt":"a","references":[{"digest":"ee","slot":2,"task":"ip"}],\
        "seed":18446744073709551615,\
        "settings":{"firstStepGuidance":3.5,"guidance":3.5,"height":32,"noise":"float32",\
        "posterior":"mode","prepare":"none","refRes":512,"steps":3,"trueCFG":[2,0,1,3.5],\
        "width":48}}
        """

    private func read(_ texts: [String]) throws -> Provenance {
        let png = try PNGEncoder.encode(
            picture,
            texts: texts.map { PNGText(keyword: "dreamfarm", text: $0) }
        )
        return try Provenance(reading: png, name: "it.png")
    }

    @Test("a picture's own text gives its request, and that the picture", arguments: Golden.all)
    func again(_ golden: Golden) async throws {
        let request = try golden.request()
        let pipeline = try await golden.pipeline()
        let png = try pipeline.render(request).png
        let provenance = try Provenance(reading: png, name: "it.png")
        #expect(provenance == Provenance(request, pipeline: pipeline))
        #expect(provenance.farmModelDigest == pipeline.digest.description)
        #expect(provenance.loras == [] && provenance.numericClass == pipeline.numericClass)
        let read = try provenance.request(
            reference: { wanted in
                try #require(request.conditions.first { $0.digest == wanted.digest }).name
            },
            lora: { _ in "" }
        )
        try read.validate()
        let another = try await golden.pipeline()
        #expect(try another.render(read).png == png)
        #expect(
            another.conditionPlan.keys(for: read) == pipeline.conditionPlan.keys(for: request)
        )
    }

    @Test("every value is read")
    func values() throws {
        let provenance = try read([Self.text])
        #expect(provenance.seed == .max && provenance.model == "dd")
        #expect(provenance.prompt == "a" && provenance.negativePrompt == nil)
        #expect(provenance.references == [.init(digest: "ee", slot: 2, task: .ip)])
        #expect(provenance.dreamO.map(\.digest) == ["aa", "bb"])
        #expect(provenance.loras == [.init(digest: "cc", name: "grain.safetensors", weight: -0.8)])
        #expect("\(provenance.numericClass)" == "1/k/float32")
        #expect(provenance.settings.trueCFG == [2, 0, 1, 3.5])
        #expect(provenance.settings.maxTextTokens == nil)
        #expect(
            provenance.farmModelDigest
                == ModelDigest(base: "dd", adapters: [("aa", 1), ("bb", 1.25)]).description
        )
        #expect(try provenance.chunk.text == Self.text)
    }

    @Test("what is no picture of dreamfarm is named")
    func others() throws {
        #expect(throws: ProvenanceError.picture(.unknownFormat(name: "it.png"))) {
            try Provenance(reading: [1, 2, 3], name: "it.png")
        }
        let jpeg = try JPEGEncoder.encode(picture, quality: 50)
        #expect(throws: ProvenanceError.picture(.unknownFormat(name: "it.png"))) {
            try Provenance(reading: jpeg, name: "it.png")
        }
        #expect(throws: ProvenanceError.absent(name: "it.png")) { try read([]) }
        #expect(throws: ProvenanceError.absent(name: "it.png")) {
            let png = try PNGEncoder.encode(
                picture,
                texts: [PNGText(keyword: "parameters", text: "seed 7")]
            )
            _ = try Provenance(reading: png, name: "it.png")
        }
        let png = try PNGEncoder.encode(picture)
        #expect(throws: ProvenanceError.picture(.truncated(name: "it.png", format: .png))) {
            try Provenance(reading: Array(png[..<20]), name: "it.png")
        }
        let missing = "/nonexistent/it.png"
        do {
            _ = try Provenance(path: missing)
            Issue.record("\(missing) was read")
        } catch {
            #expect(error.description.hasPrefix("cannot read \(missing)"))
        }
    }

    @Test(
        "a text that cannot be understood is named with its place",
        arguments: [
            ("\"seed\":18446744073709551615", "\"seed\":-1", "not valid JSON"),
            ("\"seed\":18446744073709551615,", "", "no key seed"),
            ("\"height\":32", "\"height\":\"32\"", "a wrong value at settings.height"),
            ("\"noise\":\"float32\"", "\"noise\":\"none\"", "an unknown value at settings.noise"),
            ("\"task\":\"ip\"", "\"task\":\"x\"", "an unknown value at references.0.task"),
            ("[2,0,1,3.5]", "[2,0,1]", "trueCFG has wrong values"),
            ("[2,0,1,3.5]", "[2,0.5,1,3.5]", "trueCFG has wrong values"),
            ("[2,0,1,3.5]", "[2,0,1e30,3.5]", "trueCFG has wrong values"),
            ("{\"adapters\"", "{adapters\"", "not valid JSON"),
        ]
    )
    func unreadable(_ old: String, _ new: String, _ reason: String) throws {
        let changed = Self.text.replacing(old, with: new)
        #expect(changed != Self.text)
        do {
            _ = try read([changed])
            Issue.record("it was read")
        } catch let error as ProvenanceError {
            #expect(error.description.contains(reason), "\(error)")
            #expect(error.description.hasPrefix("it.png says how it was made"))
        }
    }

    @Test("a file that says it twice is refused")
    func twice() throws {
        let expected = ProvenanceError.unreadable(name: "it.png", reason: "it says so 2 times")
        #expect(throws: expected) { try read([Self.text, Self.text]) }
    }

    @Test("another file in a reference's place is refused")
    func otherReference() async throws {
        let golden = Golden.all[0]
        let request = try golden.request()
        let provenance = Provenance(request, pipeline: try await golden.pipeline())
        let wrong = request.conditions[1]
        #expect(
            throws: ProvenanceError.otherFile(
                path: wrong.name,
                found: wrong.digest,
                wanted: request.conditions[0].digest
            )
        ) {
            try provenance.request(reference: { _ in wrong.name }, lora: { _ in "" })
        }
    }
}
