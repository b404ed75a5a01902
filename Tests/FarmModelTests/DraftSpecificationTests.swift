import FarmModel
import Testing

@Suite struct DraftSpecificationTests {
    private func problems(_ text: String) -> [String] {
        do {
            _ = try JobSpecification(parsing: text)
            return []
        } catch {
            return error.problems.map { "\($0)" }
        }
    }

    @Test("a draft is read, written, and part of what jobs are compared by")
    func reading() throws {
        let text = "{parameters: {prompt: a}, render: {steps: 12}"
        let plain = try JobSpecification(parsing: text + "}")
        let draft = try JobSpecification(parsing: text + ", draft: {steps: 4}}")
        #expect(plain.draftSteps == nil && draft.draftSteps == 4)
        #expect(draft.digest != plain.digest)
        #expect(!plain.isOneClass && draft.isOneClass && !draft.isSameClass)
        #expect(draft.canonicalJSON.contains(#""draft":{"steps":4}"#))
        #expect(!plain.canonicalJSON.contains("draft"))
        #expect(try JobSpecification(document: draft.document).draftSteps == 4)
    }

    @Test(
        "a draft leaves each image a step to do, and names the fewest steps where it does not",
        arguments: [
            (
                "draft: {steps: 12}, render: {steps: 12}",
                "draft.steps: is 12, and images of 12 steps"
            ),
            ("draft: {steps: 5}, parameters: {prompt: a, steps: [8, 4]}", "images of 4 steps"),
            ("draft: {steps: 0}", "draft.steps"), ("draft: {steps: 1.5}", "draft.steps"),
            ("draft: {}", "draft.steps: is missing"), ("draft: 4", "draft"),
            ("draft: {step: 4}", "steps"),
            ("draft: {steps: 2}, chunk: {count: 3}", "chunk.count: is 3"),
        ]
    )
    func refusals(text: String, part: String) {
        let job = text.contains("parameters") ? text : text + ", parameters: {prompt: a}"
        let problems = problems("{\(job)}")
        #expect(problems.contains { $0.contains(part) }, "\(problems)")
    }

    @Test("steps that the model gives are looked at once they are known")
    func modelsSteps() throws {
        let job = try JobSpecification(parsing: "{parameters: {prompt: a}, draft: {steps: 7}}")
        func resolved(steps: Int) -> ResolvedJob {
            ResolvedJob(
                job,
                model: "m",
                modelDigest: "d",
                defaults: ModelDefaults(
                    width: 16,
                    height: 16,
                    refRes: 16,
                    steps: steps,
                    guidance: 1
                ),
                seed: 1,
                label: "job"
            )
        }
        #expect(resolved(steps: 8).draftProblem == nil)
        #expect(resolved(steps: 7).draftProblem?.path == "draft.steps")
        let read = try ResolvedJob(json: resolved(steps: 8).canonicalJSON)
        #expect(read.specification.draftSteps == 7)
    }

    @Test("indices are written as numbers and ranges")
    func indices() {
        #expect(ImageIndices.indices(in: ["7", "0-3", "2,5"]) == [0, 1, 2, 3, 5, 7])
        #expect(ImageIndices.indices(in: ["x"]) == nil)
        #expect(ImageIndices.indices(in: ["3-1"]) == nil)
        #expect(ImageIndices.indices(in: ["0-100000"]) == nil)
        #expect(ImageIndices.text(of: [0, 1, 2, 3, 5]) == "0-3,5")
    }

    @Test("the address of a draft reads back")
    func address() throws {
        let fence = AttemptFence(task: .random(), attempt: .random(), epoch: 3)
        let request = DraftRequest(
            fence: fence,
            imageIndex: 5,
            step: 4,
            type: .png,
            report: AttemptReport(stepsComputed: 4, seconds: 1.5)
        )
        func read(_ path: String) -> DraftRequest? {
            let query = path.split(separator: "?").last ?? ""
            let pairs = query.split(separator: "&").map {
                $0.split(separator: "=").map(String.init)
            }
            let values = Dictionary(uniqueKeysWithValues: pairs.map { ($0[0], $0[1]) })
            return DraftRequest(attempt: fence.attempt) { values[$0] }
        }
        #expect(read(request.path) == request)
        #expect(read(request.path.replacing("type=png", with: "type=gif")) == nil)
        #expect(read(request.path.replacing("step=4", with: "step=0")) == nil)
        #expect(read(request.path.replacing("seconds=1.5", with: "seconds=x")) == nil)
    }
}
