import FarmModel
import FoundationEssentials

/// What decides who is next, as it was a moment ago; kept in memory, so that a claim does not read
/// the queue to choose.
struct QueueView: Sendable {
    /// The open heads under which tasks can be claimed.
    var heads: [HeadView] = []
    var owners: [String: OwnerView] = [:]
    /// The named limits; read only where a head asks for one.
    var limits: [String: LimitCount] = [:]
    var workers: [WorkerID: WorkerCapability] = [:]
    var pausedPools: Set<String> = []
    var isFarmPaused = false
    /// Pairs of a job and a worker's name that are kept apart.
    var blocks: Set<WorkerBlock> = []
    /// What groups there are and could be; read only to say why tasks wait.
    var formation = GroupFormation()
    /// The database's moment.
    var now = Date.distantPast
}

/// One job's tasks with one requirement.
struct HeadView: Sendable, Hashable, Identifiable {
    var id: Int64
    var job: JobID
    var owner: String
    var priority: Int
    var isLifted = false
    var modelDigest: String
    var requirement = TaskRequirement()
    /// The numeric class that all its images are to have, once it is fixed.
    var numericClass: String?
    /// Whether the first claim has still to fix the class.
    var awaitsClass = false
    var maxWorkers: Int?
    /// The workers at it, known where there is a limit.
    var workersAtIt: Set<WorkerID> = []
    /// The workers, by name, that failed tasks of it which can be claimed now.
    var avoided: Set<String> = []
    /// When a task of it was last claimed, or when it was queued.
    var servedAt: Date
    /// The lowest number that may still be claimable.
    var first = 0
    /// The predicted work of one of its tasks, in floating point operations.
    var taskCost: Double
    /// How many images a claim of its first task leases.
    var taskImages = 1
    /// Whether a quota or a named limit bounds its claims, and whether that is a quota of images.
    var isBounded = false
    var countsImages = false
    /// Whether a worker in no group can render its tasks, which no needed group has to do then.
    var isRenderedAlone = true

    /// Whether it matters which worker claims from it, beside what the worker can run.
    var isForSome: Bool { awaitsClass || maxWorkers != nil }

    /// Whether a claim of it has to be made alone, with what bounds it locked.
    var isSpecial: Bool { isForSome || countsImages || !requirement.limits.isEmpty }
}

/// What an owner has a right to, and what it was given.
struct OwnerView: Sendable, Hashable {
    var weight = 1.0
    /// The decayed charge with that of the leases that run, in floating point operations.
    var charge = 0.0
    /// What it may use at most, and what it uses.
    var quotas = AccountQuotas()
    var imagesInFlight = 0
    var blobBytes: Int64 = 0
    var computeSeconds = 0.0

    /// What decides between owners: the least goes first.
    var share: Double { charge / weight }
}

/// A named limit, and how many tasks have a place of it.
struct LimitCount: Sendable, Hashable {
    var count: Int
    var used = 0
    /// The same by owner; read only to say why tasks wait.
    var owners: [String: Int] = [:]
}

/// A pair that is kept apart.
struct WorkerBlock: Sendable, Hashable {
    var job: JobID
    var worker: String
}

/// A worker as far as it decides what it can run.
struct WorkerCapability: Sendable, Hashable {
    var id: WorkerID
    /// Counts the registrations of the id.
    var epoch: Int64 = 0
    var name: String
    var modelDigest: String
    var precision: String
    var memory: Int64
    var pool: String
    var tags: Set<String>
    var numericClass: String
    /// Nil where it may take tasks.
    var refusal: WorkerState?
    /// How many workers render with it: 1 alone, N as the first rank of a group that is ready, 0
    /// none now.
    var groupSize = 1
    /// The size that was asked for where the group it leads has fewer members.
    var wantedSize = 1
    /// Whether the group that it leads is for tasks of one worker, too, whoever renders them alone.
    var servesSingles = false
    /// Whether it is a member of a group.
    var isMember = false
    /// The group that it claims for as its first rank, with its epoch.
    var lead: GroupEpoch?
    /// Set while it is reserved for a group.
    var reservation: GroupReservation?
    /// The task that it claims before any other, and nobody else.
    var promise: TaskPromise?
}

/// What a worker that is reserved for a group may still take: what ends before the group starts.
struct GroupReservation: Sendable, Hashable {
    var until: Date
    /// Floating point operations a second; 0 where it is not known.
    var speed: Double

    /// Whether a task of so much work ends in time.
    func admits(cost: Double, now: Date) -> Bool {
        guard let seconds = CostModel.seconds(cost, speed: speed) else { return false }
        return now.addingTimeInterval(seconds) <= until
    }
}
