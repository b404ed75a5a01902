import FarmClient
import FarmModel
import FoundationEssentials
import Glibc

/// Follows a job to its end and shows how far it is: a bar on a terminal, plain lines elsewhere.
struct JobProgress {
    let client: CoordinatorClient
    /// How long to wait at most; nil for as long as it takes.
    var timeout: Duration?
    var interval: Duration = .milliseconds(500)

    /// Waits until the job is over, or waits for a person with nothing but drafts.
    ///
    /// - Parameter id: The job.
    /// - Returns: The job as it ended or waits, or nil when the time is over.
    /// - Throws: What the calls throw when the coordinator refuses; one that is away is waited for
    ///   within the time.
    func follow(_ id: JobID) async throws -> JobView? {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        var last = ""
        while true {
            do {
                let job = try await client.job(id.description)
                let line = Self.line(for: job)
                // The end that is foreseen changes with every look: not for a file of lines.
                let end = StandardError.isTerminal ? TimeText.eta(of: job) : nil
                let shown = end.map { "\(line), ends in \($0)" } ?? line
                if shown != last { show(shown, isLast: job.isAtRest) }
                last = shown
                if job.isAtRest { return job }
            } catch let error as FarmClientError where error.isAway {
                if last != "away" { StandardError.write("\(error); waiting\n") }
                last = "away"
            }
            if let deadline, ContinuousClock.now + interval > deadline { return nil }
            try await Task.sleep(for: interval)
        }
    }

    private func show(_ line: String, isLast: Bool) {
        if StandardError.isTerminal {
            StandardError.write("\r\u{1b}[K\(line)\(isLast ? "\n" : "")")
        } else {
            StandardError.write(line + "\n")
        }
    }

    /// `spring-campaign [#####.....] 4/8 running, 2 rendering`.
    static func line(for job: JobView) -> String {
        let images = job.images
        let width = 20
        let filled = images.total == 0 ? 0 : images.delivered * width / images.total
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: width - filled)
        var line = "\(job.name) [\(bar)] \(images.delivered)/\(images.total) \(job.state)"
        if images.rendering > 0 { line += ", \(images.rendering) rendering" }
        if let drafts = images.drafted { line += ", \(drafts) \(drafts == 1 ? "draft" : "drafts")" }
        if images.failed > 0 { line += ", \(images.failed) failed" }
        return line
    }
}

extension JobView {
    /// Whether nothing more happens to it before somebody does something.
    var isAtRest: Bool { state.isFinal || state == .drafted }

    /// What a person can do about a job of which nothing but drafts is left.
    var draftAdvice: String {
        let count = images.drafted ?? 0
        return """
            \(count) \(count == 1 ? "draft waits" : "drafts wait") for you: fetch the pictures with \
            dreamfarm download \(id) --drafts --to DIR, finish some with dreamfarm keep \(id) INDEX, cancel \
            the others with dreamfarm drop \(id) --rest
            """
    }
}
