import FarmClient
import FarmModel
import Synchronization

/// Follows a job's events as a user does, through the proxy, and begins again behind the last one it has seen.
final class EventReader: Sendable {
    let job: JobID
    private let events = Mutex<[EventView]>([])

    init(job: JobID) { self.job = job }

    /// Reads until the task is cancelled.
    func run(_ farm: Farm) async {
        while !Task.isCancelled {
            let last = events.withLock { $0.last?.number ?? 0 }
            do {
                for try await signal in farm.reader.signals(of: job, after: last) {
                    if case .event(let event) = signal { events.withLock { $0.append(event) } }
                }
            } catch {
                // The coordinator is away, or its database.
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// The number of the last event that was read.
    var last: Int64 { events.withLock { $0.last?.number ?? 0 } }

    /// The digest of each delivered image by its index; what was told twice or left out is a finding.
    func deliveries(_ log: RunLog) -> [Int: String] {
        var delivered: [Int: String] = [:]
        for (place, event) in events.withLock({ $0 }).enumerated() {
            if event.number != Int64(place + 1) {
                log.find(
                    Finding(
                        name: "event-missed",
                        detail: "job \(job): \(event.number) where \(place + 1) was next"
                    )
                )
                break
            }
            guard event.kind == .imageDelivered, let index = event.data.index else { continue }
            if delivered[index] != nil {
                log.find(
                    Finding(
                        name: "told-twice",
                        detail: "job \(job): image \(index) is delivered, again"
                    )
                )
            }
            delivered[index] = event.data.digest ?? ""
        }
        return delivered
    }
}
