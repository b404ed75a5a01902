import ArgumentParser
import FarmClient
import FarmModel

/// Usage: `dreamfarm workers [--lost]`.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers",
        abstract: "List the workers: what each holds and does."
    )

    @Flag(help: "Those too that were not heard of for long.")
    var lost = false

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let workers = try await farm.client().workers(withLost: lost).all()
            var table = TextTable("WORKER", "STATE", "POOL", "MODEL", "PRECISION", "GROUP", "DOES")
            for worker in workers {
                table.add(
                    worker.name,
                    Self.state(of: worker),
                    worker.pool,
                    worker.model,
                    worker.precision,
                    Self.seat(of: worker),
                    Self.work(of: worker)
                )
            }
            try farm.show(workers, table, none: "no workers: start one with dreamfarm-worker run")
            return .done
        }
    }

    private static func state(of worker: WorkerView) -> String {
        guard let reason = worker.stateReason, !reason.isEmpty else { return worker.state.rawValue }
        return "\(worker.state) (\(reason))"
    }

    private static func seat(of worker: WorkerView) -> String {
        guard let group = worker.group else { return "-" }
        return "\(group) rank \(worker.rank ?? 0)"
    }

    private static func work(of worker: WorkerView) -> String {
        guard let step = worker.running?.first else {
            return worker.leasedTasks == 0 ? "-" : CountText.of(worker.leasedTasks, "task")
        }
        var text = "image \(step.image ?? 0), step \(step.step) of \(step.steps)"
        if let seconds = step.stepSeconds {
            text += ", \((seconds * 100).rounded() / 100) s a step"
        }
        return text
    }
}

/// Usage: `dreamfarm worker drain|wake|quarantine WORKER [--reason TEXT]`, `worker remove WORKER`.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Tell a worker what to do.",
        subcommands: [Drain.self, Wake.self, Quarantine.self, Remove.self]
    )

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a worker finish what it has, and take nothing more."
        )

        @OptionGroup var target: WorkerTarget

        func run() async throws {
            try await target.tell { try await $0.drain($1, reason: $2) }
        }
    }

    struct Wake: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a drained or quarantined worker take tasks again."
        )

        @OptionGroup var target: WorkerTarget

        func run() async throws {
            try await target.tell { try await $0.wake($1, reason: $2) }
        }
    }

    struct Quarantine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a worker from tasks until it is woken."
        )

        @OptionGroup var target: WorkerTarget

        func run() async throws {
            try await target.tell { try await $0.quarantine($1, reason: $2) }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a worker: the key that it joined with is over.",
            discussion: """
                What it holds goes back to the farm. A process that goes on and has a token that still \
                counts joins again: revoke that, or quarantine the worker.
                """
        )

        @Argument(help: "The worker's name or id.", completion: .farm(.workers))
        var worker: String

        @OptionGroup var farm: FarmOptions

        func run() async throws {
            try await CommandExit.run {
                try await farm.client().remove(worker)
                return .done
            }
        }
    }
}

/// A worker that is told something, and why.
struct WorkerTarget: ParsableArguments {
    @Argument(help: "The worker's name or id.", completion: .farm(.workers))
    var worker: String

    @Option(help: "Why; others see it beside the worker's state.")
    var reason: String?

    @OptionGroup var farm: FarmOptions

    func tell(
        _ call: (CoordinatorClient, String, String?) async throws -> WorkerView
    ) async throws {
        try await CommandExit.run {
            let told = try await call(try farm.client(), worker, reason)
            try farm.show(told, "\(told.name) is \(told.state), wanted: \(told.desiredState)")
            return .done
        }
    }
}

/// Usage: `dreamfarm pools`.
struct PoolsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pools",
        abstract: "List the pools of workers; pause one with dreamfarm pause --pool."
    )

    @OptionGroup var farm: FarmOptions

    func run() async throws {
        try await CommandExit.run {
            let view = try await farm.client().farm()
            var table = TextTable("POOL", "IDLE", "BUSY", "OTHER", "")
            for pool in view.pools {
                table.add(
                    pool.name,
                    "\(pool.idle)",
                    "\(pool.busy)",
                    "\(pool.other)",
                    pool.isPaused ? "paused" : ""
                )
            }
            try farm.show(view.pools, table, none: "no pools: no worker was ever here")
            if view.isPaused { StandardError.write("the whole farm is paused\n") }
            return .done
        }
    }
}
