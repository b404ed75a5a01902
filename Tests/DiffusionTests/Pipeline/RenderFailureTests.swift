import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Failures that are told apart by their kind.
@Suite
struct RenderFailureTests {
    @Test("an error of the engine has its kind")
    func kinds() {
        let cases: [(any Error, RenderFailureKind?)] = [
            (RenderError.notFinite, .notFinite),
            (RenderError.outOfMemory(what: "it", needed: 2, available: 1), .outOfMemory),
            (RenderRequestError.placeholder(slot: 1, given: []), .badRequest),
            (CheckpointError.damaged, .badCheckpoint),
            (ImageError.unreadable(name: "a", reason: "gone"), .missingFile),
            (ImageError.unknownFormat(name: "a"), .brokenReference),
            (ImageError.truncated(name: "a", format: .png), .brokenReference),
            (
                ImageError.tooLarge(name: "a", width: 1, height: 1, limits: ImageLimits()),
                .brokenReference
            ),
            (ImageError.outOfMemory(name: "a", format: .png), .outOfMemory),
            (ImageError.invalidText(keyword: "a", reason: "b"), .badRequest),
            (AtomicFileError.diskFull(path: "a"), .diskFull),
            (AtomicFileError.folder(path: "a"), nil),
            (
                SafetensorsError.unwritable(file: "a", reason: "No space left on device"),
                .diskFull
            ),
            (SafetensorsError.unwritable(file: "a", reason: "Permission denied"), nil),
            (SafetensorsError.unreadable(file: "a", reason: "gone"), .missingFile),
            (SafetensorsError.missing(file: "a", tensor: "b"), .brokenModel),
            (ModelError.contradiction(file: "a", problem: "b"), .brokenModel),
            (AdapterError.badAlpha(file: "a", key: "b"), .brokenAdapter),
            (AdapterError.missingFile(path: "a", wanted: "b", remedy: "c"), .missingFile),
            (ProvenanceError.absent(name: "a"), nil),
        ]
        for (error, kind) in cases {
            #expect(RenderFailureKind(error) == kind, "\(error)")
        }
        #expect(Set(cases.compactMap(\.1)) == Set(RenderFailureKind.allCases))
    }

    @Test("a part that does not fit into memory is named before it is read")
    func parts() async throws {
        let golden = Golden.all[0]
        let pipeline = try await golden.pipeline()
        var notes: [String] = []
        pipeline.log = { notes.append($0) }
        let request = try golden.request()
        let text = pipeline.model.textEncoder2.parameters.count * 4
        pipeline.availableMemory = { text - 1 }
        #expect(
            throws: RenderError.outOfMemory(
                what: "reading T5",
                needed: text,
                available: text - 1
            )
        ) { try pipeline.render(request) }
        let transformer = pipeline.model.transformer.parameters.count * 4
        #expect(transformer > text)
        pipeline.availableMemory = { transformer - 1 }
        #expect(
            throws: RenderError.outOfMemory(
                what: "reading the transformer",
                needed: transformer,
                available: transformer - 1
            )
        ) { try pipeline.render(request) }
        #expect(notes == ["reading the text encoders"])
        pipeline.availableMemory = { nil }
        #expect(
            try pipeline.render(request).png == (try await golden.pipeline().render(request)).png
        )
    }

    @Test("a picture that does not fit is refused before its first step, and others go on")
    func pictures() async throws {
        let golden = Golden.all[0]
        let pipeline = try await golden.pipeline()
        try pipeline.loadAll()
        var request = try golden.request()
        let expected = try pipeline.render(request)
        let steps = pipeline.tally.steps
        // what a small picture needs, which is there, and not what a large one needs
        pipeline.availableMemory = { 64 << 20 }
        (request.width, request.height) = (8192, 8192)
        do {
            _ = try pipeline.render(request)
            Issue.record("it was rendered")
        } catch let error as RenderError {
            guard case .outOfMemory(let what, let needed, 64 << 20) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(what.hasPrefix("a picture of 8192x8192 pixels with 26"))
            #expect(needed > 8192 * 8192 * 4)
            #expect(error.description.contains(" MiB of memory, 64 MiB are free; "))
        }
        #expect(pipeline.tally.steps == steps)
        #expect(try pipeline.render(golden.request()).png == expected.png)
    }
}
