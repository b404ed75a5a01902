import Diffusion
import Foundation
import Glibc

/// Progress on standard error: a bar on a terminal, plain lines elsewhere.
final class ProgressDisplay {
    private let isTerminal = StandardError.isTerminal
    private var recent: [Duration] = []
    private var started = ContinuousClock.now
    private var isBarOpen = false

    /// A line of its own.
    func note(_ line: String) {
        close()
        write("\(line)\n")
    }

    /// A picture begins; says what it is made with, defaults included.
    ///
    /// - Parameters:
    ///   - job: The picture.
    ///   - adapters: The summary of the adapters in use.
    ///   - index: Its place among the command's pictures, from 0.
    ///   - count: How many these are.
    func begin(_ job: RenderJob, adapters: String, index: Int, of count: Int) {
        recent = []
        started = .now
        let number = count > 1 ? "[\(index + 1)/\(count)] " : ""
        note("\(number)\(Self.settings(of: job.request, adapters: adapters))")
    }

    /// A picture's effective settings: `1024x1024, 12 steps, guidance 4.5, DreamO v1.1, seed 7`.
    static func settings(of request: RenderRequest, adapters: String) -> String {
        "\(request.width)x\(request.height), \(request.steps) steps,"
            + " guidance \(request.guidance), \(adapters), seed \(request.seed)"
    }

    /// A step is done.
    func show(_ step: StepProgress) {
        recent.append(step.duration)
        let pace = recent.suffix(3).reduce(Duration.zero, +) / recent.suffix(3).count
        let left = pace * (step.steps - step.step)
        let text =
            "step \(step.step)/\(step.steps)  \(Self.seconds(step.duration)) s/step"
            + "  \(Self.seconds(left)) s left"
        guard isTerminal else { return note(text) }
        let width = 24
        let full = width * step.step / step.steps
        let bar = String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
        write("\r[\(bar)] \(text)    ")
        isBarOpen = true
        if step.step == step.steps { close() }
    }

    /// Ends the bar's line, so that what follows gets one of its own.
    func close() {
        if isBarOpen { write("\n") }
        isBarOpen = false
    }

    /// A picture was written.
    func end(_ job: RenderJob) {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let peak = String(format: "%.2f", Double(usage.ru_maxrss) / Double(1 << 20))
        note(
            "\(job.place) after \(Self.seconds(ContinuousClock.now - started)) s,"
                + " peak memory \(peak) GiB"
        )
    }

    private func write(_ text: String) {
        StandardError.write(text)
    }

    private static func seconds(_ duration: Duration) -> String {
        let value =
            Double(duration.components.seconds)
            + Double(duration.components.attoseconds) / 1e18
        return String(format: value < 10 ? "%.2f" : "%.0f", value)
    }
}
