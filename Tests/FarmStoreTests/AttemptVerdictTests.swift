import FarmModel
import Testing

@testable import FarmStore

@Suite struct AttemptVerdictTests {
    private func verdict(
        _ end: AttemptEnd,
        undelivered: Int = 1,
        failures: Int = 0,
        lapses: Int = 0
    ) -> AttemptVerdict {
        AttemptVerdict(
            end,
            undelivered: undelivered,
            tally: FailureTally(failures: failures, lapses: lapses, maxAttempts: 20),
            configuration: FarmStoreConfiguration()
        )
    }

    @Test(
        "back-off doubles with each failure, up to its limit",
        arguments: [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (18, 300)]
    )
    func backoff(failures: Int, seconds: Int) {
        let failure = AttemptFailure(failureClass: .workersFault, message: "broken")
        let verdict = verdict(.failed(failure), failures: failures)
        #expect(verdict.event == .failForNow)
        #expect(verdict.backoff == .seconds(seconds))
        #expect(verdict.tally.failures == failures + 1)
        #expect(verdict.failure == failure)
    }

    @Test(
        "with every image delivered each end is a success that counts nothing",
        arguments: [
            AttemptEnd.succeeded, .released, .lapsed, .replaced,
            .failed(AttemptFailure(failureClass: .deterministic, message: "late")),
        ]
    )
    func allDelivered(end: AttemptEnd) {
        let verdict = verdict(end, undelivered: 0, failures: 4, lapses: 2)
        #expect(verdict.event == .succeed)
        #expect(verdict.tally == FailureTally(failures: 4, lapses: 2, maxAttempts: 20))
        #expect(verdict.failure == nil)
    }

    @Test("every verdict is an event that a leased task knows")
    func legal() {
        let failures = FailureClass.allCases.map {
            AttemptEnd.failed(AttemptFailure(failureClass: $0, message: "x"))
        }
        for end in failures + [.succeeded, .released, .lapsed, .replaced] {
            for (undelivered, tally) in [(0, 0), (1, 0), (1, 19)] {
                let verdict = verdict(end, undelivered: undelivered, failures: tally)
                #expect(TaskState.leased.state(after: verdict.event) != nil)
            }
        }
    }
}
