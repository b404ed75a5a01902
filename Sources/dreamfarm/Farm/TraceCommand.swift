import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm trace TASK`.
struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Show a task's whole history on a time line.",
        discussion: """
            From its job's submission: what held it, who claimed it when, what each attempt came to, what \
            was delivered and what workers logged. dreamfarm tasks JOB lists the tasks of a job.
            """
    )

    @Argument(help: "The task's id.")
    var task: String

    @Flag(inversion: .prefixedNo, help: "What workers logged of it, too.")
    var logs = true

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard TaskID(task) != nil else {
            throw ValidationError("'\(task)' is no id of a task; see dreamfarm tasks JOB")
        }
    }

    func run() async throws {
        try await CommandExit.run {
            guard let id = TaskID(task) else { return .usage }
            let client = try farm.client()
            let task = try await client.task(id)
            var line = TaskTimeLine(task: task, attempts: try await client.attempts(of: id).all())
            if let job = task.job {
                let last = try await client.job(job.description).eventNumber ?? 0
                try await line.addEvents(of: job, upTo: last, client)
            }
            if logs { try await line.addLogs(client) }
            let entries = line.sorted
            switch farm.format {
            case .json: print(try FarmJSON.text(entries))
            case .text:
                guard let first = entries.first?.at else { return .done }
                for entry in entries {
                    let offset = entry.at.timeIntervalSince(first)
                    let text = String(format(offset)) + "  " + entry.at.formatted(.iso8601)
                    print(shown("\(text)  \(entry.text)"))
                }
            }
            return .done
        }
    }

    /// Seconds since the beginning, to a tenth, as wide as those of a day.
    private func format(_ seconds: Double) -> String {
        let text = "+\((seconds * 10).rounded() / 10)"
        return String(repeating: " ", count: max(0, 8 - text.count)) + text
    }
}

/// What happened to a task, in the order of time.
private struct TaskTimeLine {
    struct Entry: Codable {
        var at: Date
        /// What kind of thing happened: `claim`, `end`, `log`, or an event's kind.
        var kind: String
        var text: String
    }

    private let task: TaskView
    private let attempts: [AttemptView]
    private var entries: [Entry] = []

    init(task: TaskView, attempts: [AttemptView]) {
        self.task = task
        self.attempts = attempts
        for attempt in attempts { add(attempt) }
        if let waiting = task.waiting {
            entries.append(Entry(at: Date(), kind: "waiting", text: "waits: \(waiting.sentence)"))
        }
    }

    /// The entries by time; those of one moment stay as they came.
    var sorted: [Entry] {
        entries.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
            .map(\.element)
    }

    private mutating func add(_ attempt: AttemptView) {
        let name = "attempt \(attempt.epoch)"
        entries.append(
            Entry(
                at: attempt.startedAt,
                kind: "claim",
                text: "\(name): claimed by \(attempt.workerName)"
            )
        )
        guard let outcome = attempt.outcome, let end = attempt.finishedAt else {
            let step = attempt.progress.map { ", step \($0.step) of \($0.steps)" } ?? ""
            entries.append(Entry(at: Date(), kind: "now", text: "\(name): goes on\(step)"))
            return
        }
        var text = "\(name): \(outcome.rawValue) at \(attempt.workerName)"
        if let report = attempt.report, report.stepsComputed > 0 || report.seconds > 0 {
            let seconds = (report.seconds * 10).rounded() / 10
            text += ", \(CountText.of(report.stepsComputed, "step")) in \(seconds) s"
        }
        if let failure = attempt.failure {
            text += ": \(failure.failureClass.rawValue): \(failure.message)"
        }
        if let parked = attempt.parked { text += "; \(parked.sentence)" }
        entries.append(Entry(at: end, kind: "end", text: text))
    }

    /// Adds what has happened to the job up to its event of a number.
    mutating func addEvents(
        of job: JobID,
        upTo last: Int64,
        _ client: CoordinatorClient
    ) async throws {
        guard last > 0 else { return }
        for try await signal in client.signals(of: job, after: 0) {
            guard case .event(let event) = signal else { continue }
            add(event)
            if event.number >= last { return }
        }
    }

    /// Adds an event of the job that is the task's, or the whole job's.
    private mutating func add(_ event: EventView) {
        let data = event.data
        let isOwn =
            data.task == task.id || attempts.contains { $0.id == data.attempt }
            || data.index.map(isImage) ?? false
        let isOfJob = data.task == nil && data.attempt == nil && data.index == nil
        guard isOwn || isOfJob else { return }
        // The ends of attempts are told by the attempts themselves.
        guard ![.taskFailedAttempt, .taskLapsed, .taskReleased, .taskParked].contains(event.kind)
        else {
            return
        }
        var text = event.kind.rawValue
        if let index = data.index { text += ": image \(index)" }
        if let failure = data.failure { text += ": \(failure.message)" }
        if let reason = data.reason { text += ": \(reason)" }
        if let priority = data.priority { text += ": priority \(priority)" }
        entries.append(Entry(at: event.at, kind: event.kind.rawValue, text: text))
    }

    private func isImage(_ index: Int) -> Bool {
        guard let first = task.firstIndex, let count = task.imageCount else { return false }
        return (first..<first + count).contains(index)
    }

    mutating func addLogs(_ client: CoordinatorClient) async throws {
        var cursor: String?
        repeat {
            let page = try await client.log(of: task.id, after: cursor)
            for line in page.items {
                let text = "\(line.level.rawValue): \(line.text)"
                entries.append(Entry(at: line.at, kind: "log", text: text))
            }
            cursor = page.next
        } while cursor != nil
    }
}
