import FarmModel
import Testing

@Suite struct StateTests {
    @Test("a task goes only where the design says")
    func task() {
        let legal: [TaskState: [TaskEvent: TaskState]] = [
            .blocked: [.unblock: .ready, .cancel: .cancelled],
            .ready: [.block: .blocked, .claim: .leased, .cancel: .cancelled],
            .leased: [
                .lapse: .ready, .release: .ready, .failForNow: .ready, .succeed: .succeeded,
                .failForGood: .failed, .cancel: .cancelled, .draft: .drafted,
            ],
            .drafted: [.keep: .ready, .cancel: .cancelled],
            .failed: [.retry: .ready],
            .cancelled: [.retry: .ready],
        ]
        for state in TaskState.allCases {
            for event in TaskEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
            #expect(state.isFinal == [.succeeded, .failed, .cancelled].contains(state))
        }
    }

    @Test("an image goes only where the design says")
    func image() {
        let legal: [ImageState: [ImageEvent: ImageState]] = [
            .waiting: [.claim: .rendering, .cancel: .cancelled],
            .rendering: [
                .giveBack: .waiting, .deliver: .delivered, .failForGood: .failed,
                .cancel: .cancelled, .draft: .drafted,
            ],
            .drafted: [.keep: .waiting, .cancel: .cancelled],
            .failed: [.retry: .waiting],
            .cancelled: [.retry: .waiting],
        ]
        for state in ImageState.allCases {
            for event in ImageEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
            #expect(state.isFinal == [.delivered, .failed, .cancelled].contains(state))
        }
    }

    @Test("a job goes only where the design says")
    func job() {
        let legal: [JobState: [JobEvent: JobState]] = [
            .pending: [
                .start: .running, .pause: .paused, .fail: .failed, .cancel: .cancelled,
            ],
            .running: [
                .pause: .paused, .draft: .drafted, .succeed: .succeeded, .fail: .failed,
                .cancel: .cancelled,
            ],
            .drafted: [
                .keep: .running, .retry: .running, .pause: .paused, .succeed: .succeeded,
                .fail: .failed, .cancel: .cancelled,
            ],
            .paused: [
                .resume: .pending, .succeed: .succeeded, .fail: .failed, .cancel: .cancelled,
            ],
            .failed: [.retry: .running],
        ]
        for state in JobState.allCases {
            for event in JobEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
            #expect(state.isFinal == [.succeeded, .failed, .cancelled].contains(state))
        }
    }

    @Test("a worker goes only where the design says")
    func worker() {
        let legal: [WorkerState: [WorkerEvent: WorkerState]] = [
            .starting: [
                .becomeReady: .idle, .drain: .draining, .quarantine: .quarantined, .lose: .lost,
            ],
            .idle: [
                .claim: .busy, .drain: .draining, .sleep: .asleep, .quarantine: .quarantined,
                .lose: .lost,
            ],
            .busy: [
                .claim: .busy, .finish: .idle, .drain: .draining, .quarantine: .quarantined,
                .lose: .lost,
            ],
            .draining: [
                .finish: .asleep, .sleep: .asleep, .quarantine: .quarantined, .lose: .lost,
            ],
            .asleep: [.wake: .idle, .lose: .lost],
            .quarantined: [.wake: .idle, .lose: .lost],
            .lost: [.beHeard: .idle],
        ]
        for state in WorkerState.allCases {
            for event in WorkerEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
        }
    }

    @Test("a group goes only where the design says")
    func group() {
        let legal: [GroupState: [GroupEvent: GroupState]] = [
            .forming: [.becomeReady: .ready, .dissolve: .dissolved],
            .ready: [
                .claim: .busy, .loseMember: .forming, .drain: .draining, .dissolve: .dissolved,
            ],
            .busy: [
                .claim: .busy, .finish: .ready, .loseMember: .forming, .drain: .draining,
            ],
            .draining: [
                .finish: .dissolved, .loseMember: .dissolved, .dissolve: .dissolved,
            ],
        ]
        for state in GroupState.allCases {
            for event in GroupEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
            #expect(state.isFinal == (state == .dissolved))
        }
    }

    @Test("the audit of a picture goes only where the design says")
    func pictureAudit() {
        let legal: [PictureAuditState: [PictureAuditEvent: PictureAuditState]] = [
            .drawn: [.begin: .rendering, .giveUp: .noWorker, .drop: .moot],
            .rendering: [
                .agree: .equal, .differ: .disputed, .giveUp: .noWorker, .drop: .moot,
            ],
            .disputed: [
                .agree: .different, .differ: .undecided, .giveUp: .undecided, .drop: .moot,
            ],
        ]
        for state in PictureAuditState.allCases {
            for event in PictureAuditEvent.allCases {
                #expect(state.state(after: event) == legal[state]?[event], "\(state) \(event)")
            }
            #expect(state.isFinal == ![.drawn, .rendering, .disputed].contains(state))
        }
    }

    @Test("states that another row decides are not stored")
    func derived() {
        #expect(TaskState.storedCases == [.ready, .drafted, .succeeded, .failed, .cancelled])
        #expect(ImageState.storedCases == [.waiting, .drafted, .delivered, .failed, .cancelled])
        #expect(JobState.allCases.filter(\.isDerived) == [.drafted])
    }
}
