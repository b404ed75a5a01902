import Imaging
import Testing

@testable import Diffusion

/// Which requests are refused, and what is said.
@Suite
struct RenderRequestTests {
    private func request(_ change: (inout RenderRequest) -> Void) -> RenderRequest {
        var request = RenderRequest(
            prompt: "a cat",
            width: 64,
            height: 48,
            steps: 4,
            guidance: 3.5,
            seed: 1,
            refRes: 512
        )
        change(&request)
        return request
    }

    private func reference(slot: Int, width: Int = 16, height: Int = 32) -> Condition {
        Condition(
            name: "cat.png",
            task: .ip,
            slot: slot,
            image: PixelImage(width: width, height: height, level: 3),
            digest: "d\(slot)"
        )
    }

    private func error(_ change: (inout RenderRequest) -> Void) -> RenderRequestError? {
        do {
            try request(change).validate()
            return nil
        } catch {
            #expect(!error.description.contains("\n"))
            return error
        }
    }

    @Test("a good request passes, at its limits too")
    func good() {
        #expect(error { _ in } == nil)
        #expect(error { ($0.width, $0.height) = (16, 16) } == nil)
        #expect(error { ($0.width, $0.height) = (8192, 8192) } == nil)
        #expect(error { $0.steps = 1000 } == nil)
        #expect(error { $0.maxTextTokens = 512 } == nil)
        #expect(error { $0.guidance = 0 } == nil)
        #expect(error { $0.trueCFG = TrueCFG(scale: 2, start: 9, end: 3) } == nil)
    }

    @Test("a side is a multiple of 16", arguments: [0, -16, 8, 15, 17, 63, 1023])
    func sides(value: Int) {
        #expect(error { $0.width = value } == .side(name: "width", value: value))
        #expect(error { $0.height = value } == .side(name: "height", value: value))
    }

    @Test(
        "the message names the next size down",
        arguments: [(1023, 1008), (17, 16), (5, 16), (-40, 16)]
    )
    func nextSide(value: Int, proposal: Int) {
        let text = error { $0.width = value }?.description ?? ""
        #expect(text.hasPrefix("width \(value) is not a multiple of 16"))
        #expect(text.hasSuffix("try \(proposal)"))
    }

    @Test("numbers out of range are named with what is allowed")
    func ranges() {
        func expect(
            _ key: String,
            _ value: String,
            sourceLocation: SourceLocation = #_sourceLocation,
            _ change: (inout RenderRequest) -> Void
        ) {
            guard case .outOfRange(let foundKey, let found, let allowed) = error(change) else {
                Issue.record("\(key) \(value) is accepted", sourceLocation: sourceLocation)
                return
            }
            #expect(foundKey == key, sourceLocation: sourceLocation)
            #expect(found == value, sourceLocation: sourceLocation)
            #expect(allowed.contains("from"), sourceLocation: sourceLocation)
        }
        expect("steps", "0") { $0.steps = 0 }
        expect("steps", "1001") { $0.steps = 1001 }
        expect("size", "67239936") { ($0.width, $0.height) = (8192, 8208) }
        expect("ref-res", "15") { $0.refRes = 15 }
        expect("ref-res", "4097") { $0.refRes = 4097 }
        expect("max-text-tokens", "0") { $0.maxTextTokens = 0 }
        expect("max-text-tokens", "513") { $0.maxTextTokens = 513 }
        expect("guidance", "-1.0") { $0.guidance = -1 }
        expect("guidance", "nan") { $0.guidance = .nan }
        expect("guidance", "inf") { $0.guidance = .infinity }
        expect("first-step-guidance", "1001.0") { $0.firstStepGuidance = 1001 }
        expect("true-cfg", "-0.5") { $0.trueCFG.scale = -0.5 }
        expect("true-cfg", "nan") { $0.trueCFG.scale = .nan }
        expect("negative-guidance", "-2.0") { $0.trueCFG.guidance = -2 }
    }

    @Test("a size so large that it overflows is refused, not counted")
    func overflow() {
        let side = Int.max / 16 * 16
        #expect(error { ($0.width, $0.height) = (side, side) } != nil)
    }

    @Test("slots are 1…9", arguments: [0, -1, 10])
    func slots(slot: Int) {
        let found = error { $0.conditions = [reference(slot: slot)] }
        #expect(found == .slot(name: "cat.png", slot: slot))
        #expect(found?.description.contains("slot \(slot) is outside 1…9") == true)
    }

    @Test("a placeholder needs its reference")
    func placeholders() {
        let none = error { $0.prompt = "[ref#2] runs" }
        #expect(none == .placeholder(slot: 2, given: []))
        #expect(none?.description.contains("--reference FILE:TASK:2") == true)
        let other = error {
            $0.prompt = "[ref#9] runs to [ref#1]"
            $0.conditions = [reference(slot: 3), reference(slot: 1)]
        }
        #expect(other == .placeholder(slot: 9, given: [1, 3]))
        #expect(other?.description.contains("slots 1, 3") == true)
        let good = error {
            $0.prompt = "[ref#3] [ref#10] [ref#]"
            $0.conditions = [reference(slot: 3)]
        }
        #expect(good == nil)
    }

    @Test("without preparation a reference's sides are multiples of 16")
    func preparation() {
        for (width, height) in [(17, 32), (32, 20)] {
            let condition = reference(slot: 1, width: width, height: height)
            #expect(error { $0.conditions = [condition] } == nil)
            let found = error {
                $0.conditions = [condition]
                $0.prepare = .none
            }
            #expect(
                found == .unpreparedSide(name: "cat.png", width: width, height: height)
            )
            #expect(found?.description.contains("--prepare resize") == true)
        }
    }

    @Test("guidance of a step, and when true CFG runs")
    func steps() {
        let request = request {
            $0.firstStepGuidance = 2
            $0.trueCFG = TrueCFG(scale: 1.5, start: 1, end: 3)
        }
        #expect((0..<4).map { request.guidance(step: $0) } == [2, 3.5, 3.5, 3.5])
        #expect((0..<4).map { request.trueCFG.applies(step: $0) } == [false, true, true, false])
        #expect(request.usesTrueCFG)
        #expect(!self.request { $0.trueCFG = TrueCFG(scale: 1, start: 0, end: 4) }.usesTrueCFG)
        #expect(!self.request { $0.trueCFG = TrueCFG(scale: 2, start: 4, end: 9) }.usesTrueCFG)
        #expect(!self.request { $0.trueCFG = TrueCFG(scale: 2, start: 2, end: 2) }.usesTrueCFG)
        #expect(self.request { _ in }.guidance(step: 0) == 3.5)
    }
}
