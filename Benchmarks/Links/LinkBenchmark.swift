import ArgumentParser
import Collectives
import Foundation
import Synchronization
import Tensors

/// Times sums over a group of ranks in this process, over loopback or with a slower network in
/// between, for kernels that have no netem.
@main
struct LinkBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link-benchmark",
        abstract: "Time sums over the ranks of a group."
    )

    @Option(help: "How many ranks there are.")
    var ranks = 2

    @Option(help: "Milliseconds that a byte is on its way between two ranks.")
    var delay = 0.0

    @Option(help: "Megabits a second between two ranks, each way; 0: without a limit.")
    var megabits = 0.0

    @Option(help: "Rows of the values.")
    var rows = 2560

    @Option(help: "Columns of the values.")
    var columns = 3072

    @Option(help: "How many sums the rows are cut in.")
    var chunks = 4

    @Option(help: "How often all rows are summed.")
    var rounds = 10

    @Flag(help: "Send float32 instead of bfloat16.")
    var float32 = false

    func run() throws {
        let links = try (0..<ranks).map { rank in
            try GroupLink(rank: rank, size: ranks, interface: Relay.host(of: rank))
        }
        defer { links.forEach { $0.close() } }
        var addresses = links.map(\.address)
        if delay > 0 || megabits > 0 {
            let rate = megabits > 0 ? megabits * 125_000 : 1e12
            addresses = Relay(delay: delay / 1000, rate: rate).addresses(addresses)
        }
        let failure = Mutex<(any Error)?>(nil)
        let ranksDone = DispatchGroup()
        for link in links {
            ranksDone.enter()
            Thread.detachNewThread { [self, addresses] in
                defer { ranksDone.leave() }
                do {
                    try run(link, addresses)
                } catch {
                    failure.withLock { $0 = $0 ?? error }
                    link.close()
                }
            }
        }
        ranksDone.wait()
        if let error = failure.withLock({ $0 }) {
            throw error
        }
    }

    private func run(_ link: GroupLink, _ addresses: [Data]) throws {
        try link.connect(
            addresses: addresses,
            secret: Data("benchmark".utf8),
            epoch: 1,
            group: "benchmark",
            timeout: 30
        )
        let speed = try link.measure()
        let values = Tensor(rows: rows, columns: columns)
        let parts = (0..<chunks).map { chunk in
            values.rows(rows * chunk / chunks..<rows * (chunk + 1) / chunks)
        }
        try sum(parts, link)
        let start = now()
        for _ in 0..<rounds {
            try sum(parts, link)
        }
        let milliseconds = (now() - start) / Double(rounds) * 1000
        guard link.rank == 0 else { return }
        if let speed {
            print("round trip \(text(speed.latency * 1000)) ms")
            print("bandwidth \(text(speed.bandwidth / 125_000)) Mbit/s")
        }
        print("sum of \(rows)×\(columns) in \(chunks) parts: \(text(milliseconds)) ms")
    }

    private func sum(_ parts: [Tensor], _ link: GroupLink) throws {
        for ticket in parts.map({ link.sum($0, in: float32 ? .float32 : .bfloat16) }) {
            link.wait(ticket)
        }
        if let failure = link.failure {
            throw failure
        }
    }

    private func text(_ value: Double) -> String {
        String(format: "%.2f", value)
    }
}
