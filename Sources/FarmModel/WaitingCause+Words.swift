import FoundationEssentials

extension WaitingCause {
    /// What is waited for and what a person can do about it: one sentence.
    package var sentence: String {
        switch self {
        case .noWorker(let wanted): wanted.sentence
        case .noMemory(let needed, let largest):
            "it needs \(ByteCount.text(needed)) of memory and the largest worker with its model "
                + "has \(ByteCount.text(largest)); start a larger one, or lower "
                + "requirements.memory"
        case .noPrecision(let wanted, let offered):
            "it asks for \(wanted) and the workers with its model compute in "
                + "\(Self.list(offered)); start one with --precision \(wanted), or leave "
                + "requirements.precision out"
        case .noGroup(let shortage): shortage.sentence
        case .poolPaused(.some(let pool)):
            "the pool '\(pool)' is paused; an operator lets it go on with: "
                + "dreamfarm resume --pool \(ShellText.quote(pool))"
        case .poolPaused(.none):
            "the whole farm is paused; an operator lets it go on with: "
                + "dreamfarm resume --farm"
        case .jobPaused: "the job is paused; let it go on with: dreamfarm resume JOB"
        case .dependency(let jobs):
            "it comes after \(Self.list(jobs)), which has to succeed first"
        case .startAfter(let date): "it starts after \(Self.moment(date)), as the job says"
        case .backoff(let until, let failure):
            "it rests until \(Self.moment(until)) after a failed attempt"
                + (failure.map { ": \($0)" } ?? "") + "; it is then tried again by itself"
        case .draft:
            "it is a draft and waits for a person; finish it with: dreamfarm keep JOB INDEX, or cancel "
                + "it with: dreamfarm drop JOB INDEX"
        case .limit(let workers):
            "the job has \(CountText.of(workers, "task")) at work, as many as its limits.max_workers allows; "
                + "the next begins when one ends"
        case .namedLimit(let shortage): shortage.sentence
        case .quota(let shortage): shortage.sentence
        case .fairShare(let owner):
            "other owners have had less of the farm lately; the share of '\(owner)' comes back "
                + "by itself, within an hour or two"
        case .behind(0):
            "it is next; the first fitting worker that is free takes it, one that failed it only "
                + "when no other fits"
        case .behind(let tasks):
            "\(CountText.of(tasks, "task")) of the same owner \(tasks == 1 ? "goes" : "go") first; "
                + "put the job forward with: dreamfarm prioritize JOB 90"
        case .blobStoreFull(let free, let reserve):
            "the blob store has \(Self.percent(free)) % free and keeps \(Self.percent(reserve)) %; "
                + "make room with: dreamfarm blobs gc"
        }
    }

    /// The figures of the sentence, by name.
    package var details: SpecificationValue {
        switch self {
        case .noWorker(let wanted): wanted.details
        case .noMemory(let needed, let largest):
            .mapping(["needed": .integer(Int(needed)), "largest": .integer(Int(largest))])
        case .noPrecision(let wanted, let offered):
            .mapping(["wanted": .string(wanted), "offered": .list(offered.map { .string($0) })])
        case .noGroup(let shortage): shortage.details
        case .poolPaused(let pool): .mapping(pool.map { ["pool": .string($0)] } ?? [:])
        case .jobPaused, .draft: .mapping([:])
        case .dependency(let jobs): .mapping(["jobs": .list(jobs.map { .string($0) })])
        case .startAfter(let date): .mapping(["at": .string(Self.moment(date))])
        case .backoff(let until, let failure):
            .mapping(
                ["until": .string(Self.moment(until))]
                    .merging(failure.map { ["failure": .string($0)] } ?? [:]) { first, _ in first }
            )
        case .limit(let workers): .mapping(["max_workers": .integer(workers)])
        case .namedLimit(let shortage): shortage.details
        case .quota(let shortage): shortage.details
        case .fairShare(let owner): .mapping(["owner": .string(owner)])
        case .behind(let tasks): .mapping(["tasks": .integer(tasks)])
        case .blobStoreFull(let free, let reserve):
            .mapping(["free_percent": .number(free), "reserve_percent": .number(reserve)])
        }
    }

    private static func list(_ words: [String]) -> String {
        words.isEmpty ? "none" : words.joined(separator: ", ")
    }

    private static func moment(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle())
    }

    /// A percentage with one digit after the point.
    private static func percent(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

/// Numbers of things in words.
package enum CountText {
    /// So many things, as `1 task` or `2 tasks`.
    package static func of(_ number: Int, _ thing: String) -> String {
        "\(number) \(thing)\(number == 1 ? "" : "s")"
    }
}

/// Text as it stands in a command line.
enum ShellText {
    private static let punctuation = "0123456789._-/".unicodeScalars

    /// The text as one word of a shell.
    static func quote(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || punctuation.contains($0))
        }
        return isPlain && !text.isEmpty ? text : "'\(text.replacing("'", with: "'\\''"))'"
    }
}

extension WaitingCause.Wanted {
    fileprivate var sentence: String {
        var has = "no live worker holds the model '\(model)'"
        var start = "dreamfarm-worker run --model DIR"
        if let pool {
            has += " in the pool '\(pool)'"
            start += " --pool \(ShellText.quote(pool))"
        }
        if !tags.isEmpty {
            has += " with the tags \(tags.joined(separator: ", "))"
            start += tags.map { " --tag \(ShellText.quote($0))" }.joined()
        }
        if let numericClass { has += " in the numeric class \(numericClass)" }
        return has + " and may take the job; start one with: " + start
            + " (DIR is the model's folder, or its name where the farm has its files)"
    }

    fileprivate var details: SpecificationValue {
        var entries: [String: SpecificationValue] = ["model": .string(model)]
        if let pool { entries["pool"] = .string(pool) }
        if !tags.isEmpty { entries["tags"] = .list(tags.map { .string($0) }) }
        if let numericClass { entries["numeric_class"] = .string(numericClass) }
        return .mapping(entries)
    }
}
