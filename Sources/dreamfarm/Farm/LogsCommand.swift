import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Imaging

/// Usage: `dreamfarm logs JOB|TASK [--follow]`.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print what workers logged of a task, or of every task of a job."
    )

    @Argument(help: "The job's id or key, or a task's id.", completion: .farm(.jobs))
    var subject: String

    @Flag(name: .shortAndLong, help: "Go on until the task, or the job, is over.")
    var follow = false

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            var reader = LogReader(client: client, format: farm.format)
            if let task = TaskID(subject), let found = try? await client.task(task) {
                while true {
                    // Read before the lines, so that none is missed which came before the end.
                    let isOver = try await client.task(found.id).state.isFinal
                    try await reader.printNew(of: found.id)
                    if isOver || !follow { return .done }
                    try await Task.sleep(for: .seconds(1))
                }
            }
            let job = try await client.job(subject).id
            reader.isTitled = true
            var live: [TaskView] = []
            var isFirst = true
            while true {
                let isOver = try await client.job(job.description).state.isFinal
                // After the first look only what is, or just was, at a worker can have new lines.
                let leased = client.tasks(of: job, state: isFirst ? nil : .leased)
                let tasks = try await leased.all().filter { $0.attempts > 0 }
                let ids = Set(tasks.map(\.id))
                for task in tasks + live.filter({ !ids.contains($0.id) }) {
                    try await reader.printNew(of: task.id)
                }
                if isOver || !follow { return .done }
                live = tasks.filter { !$0.state.isFinal }
                isFirst = false
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}

/// Prints lines that workers logged of tasks, each once.
private struct LogReader {
    let client: CoordinatorClient
    let format: OutputFormat
    /// Whether it is said whose lines follow.
    var isTitled = false
    private var places: [TaskID: Place] = [:]
    private var last: TaskID?

    /// Where a task's log was read to: so many lines of the page behind a cursor.
    private struct Place {
        var cursor: String?
        var lines = 0
    }

    init(client: CoordinatorClient, format: OutputFormat) {
        self.client = client
        self.format = format
    }

    /// Prints what of a task's log was not printed yet.
    mutating func printNew(of task: TaskID) async throws {
        var place = places[task, default: Place()]
        defer { places[task] = place }
        while true {
            let page = try await client.log(of: task, after: place.cursor)
            for line in page.items.dropFirst(place.lines) { try show(line, of: task) }
            place.lines = page.items.count
            guard let next = page.next else { return }
            place = Place(cursor: next)
        }
    }

    private mutating func show(_ line: LogLine, of task: TaskID) throws {
        switch format {
        case .json: print(try FarmJSON.text(line))
        case .text:
            if isTitled, last != task { print("task \(task):") }
            print(shown("\(line.at.formatted(.iso8601)) \(line.level.rawValue) \(line.text)"))
        }
        last = task
    }
}
