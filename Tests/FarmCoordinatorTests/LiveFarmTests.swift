import FarmModel
import FoundationEssentials
import Testing

@testable import FarmCoordinator

@Suite(.timeLimit(.minutes(1))) struct LiveFarmTests {
    private let job = JobID.random()
    private let worker = WorkerID.random()

    private func step(_ number: Int, image: Int = 0, attempt: AttemptID = .random()) -> StepView {
        StepView(
            AttemptProgress(
                fence: AttemptFence(task: .random(), attempt: attempt, epoch: 1),
                image: image,
                step: number,
                steps: 10
            ),
            worker: worker,
            workerName: "w"
        )
    }

    @Test("a reader gets the latest step of each attempt, and then what moved since")
    func steps() {
        let live = LiveFarm()
        let attempt = AttemptID.random()
        live.note(step(1, attempt: attempt), of: job, preview: nil)
        live.note(step(2, attempt: attempt), of: job, preview: nil)
        live.note(step(5, image: 1), of: job, preview: nil)
        let first = live.steps(of: job)
        #expect(first.steps.map(\.step) == [2, 5])
        #expect(live.steps(of: job, since: first.change).steps.isEmpty)
        live.note(step(3, attempt: attempt), of: job, preview: nil)
        #expect(live.steps(of: job, since: first.change).steps.map(\.step) == [3])
        #expect(live.steps(of: .random()).steps.isEmpty)
    }

    @Test("what is over is forgotten with its preview")
    func forget() throws {
        let live = LiveFarm()
        let attempt = AttemptID.random()
        let preview = PicturePreview(mediaType: "image/jpeg", data: Data([1, 2, 3]))
        live.note(step(1, image: 4, attempt: attempt), of: job, preview: preview)
        #expect(live.preview(of: job, index: 4) == preview)
        live.forget(of: worker, except: [attempt])
        #expect(live.step(of: attempt)?.step == 1)
        live.forget(of: worker, except: [])
        #expect(live.step(of: attempt) == nil)
        #expect(live.preview(of: job, index: 4) == nil)
    }

    @Test("previews are bounded; the oldest go first")
    func bound() throws {
        let live = LiveFarm()
        let data = Data(repeating: 1, count: PicturePreview.largestSize)
        let preview = try #require(PicturePreview(mediaType: "image/jpeg", data: data))
        for index in 0..<1100 { live.note(step(1, image: index), of: job, preview: preview) }
        #expect(live.preview(of: job, index: 0) == nil)
        #expect(live.preview(of: job, index: 1099) == preview)
        let kept = (0..<1100).count { live.preview(of: job, index: $0) != nil }
        #expect(kept == 1024)
    }

    @Test("readers of a job are woken, others not, and all end when it closes")
    func readers() async {
        let live = LiveFarm()
        var mine = live.changes(of: job).makeAsyncIterator()
        var other = live.changes(of: .random()).makeAsyncIterator()
        live.note(step(1), of: job, preview: nil)
        #expect(await mine.next() != nil)
        live.wake(nil)
        #expect(await mine.next() != nil)
        #expect(await other.next() != nil)
        live.close()
        #expect(await mine.next() == nil)
        #expect(await other.next() == nil)
        var late = live.changes(of: job).makeAsyncIterator()
        #expect(await late.next() == nil)
        #expect(live.readerCount == 0)
    }
}
