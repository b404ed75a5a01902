import ArgumentParser
import Glibc
import Synchronization

/// Loads a coordinator with cycles of claim and delivery over HTTP, and says how fast they are.
///
/// Each simulated worker is a thread with a connection of its own that claims one task, delivers a
/// picture of a few bytes with the end of its attempt, and begins again. With a rate the claims are
/// spread evenly and their latency is what counts; without one, the cycles a second.
@main
struct HTTPLoad: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "http-load")

    @Option(help: "The coordinator's port on this machine.")
    var port: UInt16

    @Option(help: "An admin's token.")
    var token: String

    @Option(help: "How many workers at once.")
    var workers = 32

    @Option(help: "How many owners have jobs.")
    var owners = 20

    @Option(help: "How many images each owner submits.")
    var images = 2000

    @Option(help: "How long to measure, in seconds.")
    var seconds = 20.0

    @Option(help: "How long to load before that, in seconds, which does not count.")
    var warmUp = 0.0

    @Option(help: "Claims a second, spread evenly; as many as go when left out.")
    var rate: Double?

    func run() throws {
        let ids = try register()
        try submit()
        let results = Mutex<[Sample]>([])
        let begin = now()
        let threads = ids.enumerated().map { index, worker in
            Thread {
                let samples = work(worker, number: index, from: begin)
                results.withLock { $0 += samples }
            }
        }
        for thread in threads { thread.join() }
        report(results.withLock { $0 }, elapsed: now() - begin - warmUp)
    }

    /// One cycle: when its claim was answered after it was due, and whether it was delivered.
    struct Sample {
        var claimSeconds: Double
        var isDelivered: Bool
    }

    private func connection(_ token: String) throws -> Connection {
        try Connection(host: "127.0.0.1", port: port, token: token)
    }

    private func register() throws -> [(id: String, epoch: String)] {
        let connection = try connection(token)
        return try (0..<workers).map { number in
            let body = """
                {"protocol_version":2,"name":"load-\(number)","instance":"load-\(number)","pool":\
                "\(number.isMultiple(of: 2) ? "even" : "odd")","tags":["\(number % 4)"],\
                "memory_bytes":17179869184,"engine":"","warm_artifacts":[],"speed":1e12,"model":\
                {"name":"load","digest":"\(String(repeating: "0", count: 64))","precision":"float32",\
                "numeric_class":"load","defaults":{"width":128,"height":128,"ref_res":128,"steps":1,\
                "guidance":3.5}}}
                """
            let answer = try connection.send("POST", "/v1/workers", Array(body.utf8))
            guard answer.status < 300, let id = answer.body.value(of: "id"),
                let epoch = answer.body.value(of: "epoch")
            else { throw LoadError("a worker was not registered: \(answer.body)") }
            return (id, epoch)
        }
    }

    /// A job for each owner; requirements differ, and every worker can run some of each kind.
    private func submit() throws {
        let admin = try connection(token)
        let requirements = ["", "pool: even", "pool: odd", "precision: float32", "memory: 8GiB"]
        for owner in 0..<owners {
            let made = try admin.send(
                "POST",
                "/v1/tokens",
                Array(#"{"owner":"owner-\#(owner)","role":"submitter"}"#.utf8)
            )
            guard let secret = made.body.value(of: "token") else {
                throw LoadError("no token was made: \(made.body)")
            }
            let needs = requirements[owner % requirements.count]
            let parts = needs.split(separator: ": ")
            let wanted = parts.isEmpty ? "" : #","requirements":{"\#(parts[0])":"\#(parts[1])"}"#
            let body = """
                {"specification":"dreamfarm/1","name":"load-\(owner)","model":"load","chunk":\
                {"count":1},"parameters":{"prompt":"a","seed":"1-\(images)"}\(wanted)}
                """
            let answer = try connection(secret).send("POST", "/v1/jobs", Array(body.utf8))
            guard answer.status < 300 else { throw LoadError("a job was refused: \(answer.body)") }
        }
    }

    private func work(
        _ worker: (id: String, epoch: String),
        number: Int,
        from begin: Double
    ) -> [Sample] {
        var samples: [Sample] = []
        do {
            let connection = try connection(token)
            let claim = Array(
                #"{"epoch":\#(worker.epoch),"limit":1,"wait_seconds":1,"busy_seconds":0}"#.utf8
            )
            let interval = rate.map { Double(workers) / $0 } ?? 0
            var due = begin + interval * Double(number) / Double(workers)
            while now() - begin < warmUp + seconds {
                if rate != nil {
                    let rest = due - now()
                    if rest > 0 { usleep(UInt32(rest * 1e6)) }
                } else {
                    due = now()
                }
                let answer = try connection.send("POST", "/v1/workers/\(worker.id)/claim", claim)
                let claimed = now() - due
                due += interval
                guard let task = answer.body.value(of: "task"),
                    let attempt = answer.body.value(of: "attempt"),
                    let epoch = answer.body.value(of: "epoch"),
                    let index = answer.body.value(of: "index")
                else { continue }
                let delivered = try connection.send(
                    "PUT",
                    "/v1/attempts/\(attempt)/images/\(index)?task=\(task)&epoch=\(epoch)"
                        + "&final=true&steps=1&seconds=0.1&computed=0&found=0&cold_start_seconds=0",
                    Array("picture \(attempt)".utf8),
                    type: "image/png"
                )
                guard due - interval - begin >= warmUp else { continue }
                samples.append(
                    Sample(claimSeconds: claimed, isDelivered: delivered.status < 300)
                )
            }
        } catch {
            print("worker \(number): \(error)")
        }
        return samples
    }

    private func report(_ samples: [Sample], elapsed: Double) {
        let claims = samples.map(\.claimSeconds).sorted()
        func milliseconds(_ fraction: Double) -> Double {
            guard !claims.isEmpty else { return .nan }
            let index = min(claims.count - 1, Int(Double(claims.count) * fraction))
            return (claims[index] * 1e5).rounded() / 100
        }
        let delivered = samples.count(where: \.isDelivered)
        print(
            "\(delivered) cycles in \((elapsed * 10).rounded() / 10) s:",
            "\(Int(Double(delivered) / elapsed)) a second; refused \(samples.count - delivered);",
            "claim p50 \(milliseconds(0.5)) ms, p99 \(milliseconds(0.99)) ms"
        )
    }
}

/// A monotonic moment, in seconds.
private func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// A thread that runs a closure: a blocking load must not sit on the cooperative threads.
private final class Thread {
    private var handle = pthread_t()
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        pthread_create(
            &handle,
            nil,
            { context in
                context.map { Unmanaged<Thread>.fromOpaque($0).takeRetainedValue().body() }
                return nil
            },
            Unmanaged.passRetained(self).toOpaque()
        )
    }

    func join() {
        pthread_join(handle, nil)
    }
}
