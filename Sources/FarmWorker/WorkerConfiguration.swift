package import FarmModel
package import Telemetry

/// The settings of a worker, read once.
package struct WorkerConfiguration: Sendable {
    /// The worker's name; registering under it again is the same worker.
    package var name: String
    /// Tells this process from another of the same name.
    package var instance: WorkerInstance
    /// The key of its own that it shows; nil where it shows a token.
    package var credential: WorkerCredential?
    package var pool = "default"
    package var tags: [String] = []
    /// Memory that rendering may use, in bytes; 0 where it is not said.
    package var memory: Int64 = 0
    /// The machine, for people who look at the list of workers.
    package var machine: MachineInfo?
    /// The folder for caches and for pictures that wait.
    package var dataFolder: String
    /// How many bytes of downloaded references stay on disk.
    package var referenceBytes: Int64 = 4 << 30
    /// How many bytes of computed conditions stay on disk.
    package var conditionBytes: Int64 = 4 << 30
    /// How many bytes may wait to be delivered before rendering pauses.
    package var spoolBytes: Int64 = 2 << 30
    /// How many of these stay in memory.
    package var spoolMemory: Int64 = 64 << 20
    /// How it ends on request.
    package var drain = DrainMode.finish
    /// How long a worker that ends waits for its picture and for the coordinator.
    package var grace = Duration.seconds(300)
    package var checkpoints = CheckpointSchedule()
    /// Where it notes what it does; nil where nothing but its heartbeats tells of it.
    package var metrics: WorkerMetrics?
    /// What begins its spans.
    package var tracer = FarmTracer.off
    /// How it takes part in groups; nil for not at all.
    package var group: GroupSettings?
    /// How long a claim may be held back.
    package var claimWait = Duration.seconds(20)
    /// The wait after a failed call; it doubles up to ``largestBackoff``.
    package var backoff = Duration.seconds(1)
    package var largestBackoff = Duration.seconds(30)

    package init(name: String, dataFolder: String, instance: WorkerInstance = .random()) {
        self.name = name
        self.dataFolder = dataFolder
        self.instance = instance
    }
}
