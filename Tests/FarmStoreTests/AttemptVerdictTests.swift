import FarmModel
import Testing

@testable import FarmStore

@Suite struct AttemptVerdictTests {
    private func verdict(
        _ end: AttemptEnd,
        at scope: AttemptScope = AttemptScope(todo: [0]),
        failures: Int = 0,
        lapses: Int = 0,
        groupLosses: Int = 0
    ) -> AttemptVerdict {
        AttemptVerdict(
            end,
            at: scope,
            tally: FailureTally(
                failures: failures,
                lapses: lapses,
                groupLosses: groupLosses,
                maxAttempts: 20
            ),
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
            AttemptEnd.succeeded, .released, .lapsed, .replaced, .memberLost("b is gone"),
            .failed(AttemptFailure(failureClass: .deterministic, message: "late")),
        ]
    )
    func allDelivered(end: AttemptEnd) {
        let verdict = verdict(end, at: AttemptScope(todo: []), failures: 4, lapses: 2)
        #expect(verdict.event == .succeed)
        #expect(verdict.tally == FailureTally(failures: 4, lapses: 2, maxAttempts: 20))
        #expect(verdict.failure == nil)
        let partly = AttemptScope(todo: [], hasGivenUp: true)
        #expect(self.verdict(end, at: partly).event == .failForGood)
    }

    @Test("what is final is so for the image that it is of, and the others start anew")
    func oneOfMany() {
        let failure = AttemptFailure(
            failureClass: .deterministic,
            message: "no such slot",
            image: 4
        )
        let verdict = verdict(.failed(failure), at: AttemptScope(todo: [3, 4, 5]), failures: 2)
        #expect(verdict.event == .failForNow)
        #expect(verdict.givenUp == 4)
        #expect(verdict.failure == failure)
        #expect((verdict.tally.failures, verdict.backoff) == (0, .zero))
        #expect(!verdict.narrows)
        let last = self.verdict(.failed(failure), at: AttemptScope(todo: [4]))
        #expect(last.event == .failForGood)
    }

    @Test("where it is not known which of several images it was, they are tried one at a time")
    func unknownOfMany() {
        let wrong = AttemptFailure(failureClass: .deterministic, message: "no", image: 9)
        for (end, event) in [(AttemptEnd.lapsed, TaskEvent.lapse), (.failed(wrong), .failForNow)] {
            let scope = AttemptScope(todo: [3, 4, 5])
            let verdict = verdict(end, at: scope, failures: 2, lapses: 2)
            #expect(verdict.event == event)
            #expect(verdict.narrows)
            #expect(verdict.givenUp == nil)
            #expect((verdict.tally.failures, verdict.tally.lapses) == (0, 0))
        }
        let narrow = AttemptScope(todo: [3, 4, 5], isNarrow: true)
        let verdict = verdict(.lapsed, at: narrow, failures: 2, lapses: 2)
        #expect(verdict.givenUp == 3)
        #expect(verdict.failure?.message.hasPrefix("poison: given up after 3 failed") == true)
    }

    @Test("an attempt that delivered something starts the count anew")
    func progress() {
        let scope = AttemptScope(todo: [7, 8, 9], delivered: 7)
        let verdict = verdict(.lapsed, at: scope, failures: 2, lapses: 2)
        #expect(verdict.event == .lapse)
        #expect((verdict.tally.failures, verdict.tally.lapses) == (1, 1))
        #expect(!verdict.narrows)
    }

    @Test("a lost member of the group counts by itself, until the task is poison")
    func groupLosses() {
        let end = AttemptEnd.memberLost("the worker b broke off: out of memory")
        let ninth = verdict(end, failures: 2, groupLosses: 8)
        #expect(ninth.event == .release)
        #expect((ninth.tally.failures, ninth.tally.groupLosses) == (2, 9))
        #expect(ninth.failure == nil)
        let tenth = verdict(end, groupLosses: 9)
        #expect(tenth.event == .failForGood)
        #expect(
            tenth.failure?.message.hasPrefix(
                "poison: given up after the group lost a member 10 times while rendering it; the "
                    + "last: the worker b broke off: out of memory"
            ) == true
        )
        let several = verdict(end, at: AttemptScope(todo: [3, 4]), groupLosses: 9)
        #expect(several.event == .release && several.narrows)
        #expect(several.tally.groupLosses == 0)
        let delivered = AttemptScope(todo: [3], delivered: 3)
        #expect(verdict(end, at: delivered, groupLosses: 9).tally.groupLosses == 1)
    }

    @Test("every verdict is an event that a leased task knows")
    func legal() {
        let failures = FailureClass.allCases.map {
            AttemptEnd.failed(AttemptFailure(failureClass: $0, message: "x"))
        }
        for end in failures + [.succeeded, .released, .lapsed, .replaced, .memberLost("gone")] {
            for (todo, tally) in [([], 0), ([0], 0), ([0], 19), ([0, 1], 19)] {
                let verdict = verdict(end, at: AttemptScope(todo: todo), failures: tally)
                #expect(TaskState.leased.state(after: verdict.event) != nil)
            }
        }
    }
}
