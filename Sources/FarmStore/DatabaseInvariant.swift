import Postgres

/// What is always true of the farm's rows, each as one query that returns what breaks it.
///
/// A query sees one moment, so that the audit can run while the farm works.
package enum DatabaseInvariant: String, CaseIterable, Sendable {
    /// An image has one row in its job and at most one output.
    case imageDeliveredOnce
    /// A delivered image has its output.
    case deliveredImageHasOutput
    /// An output belongs to a delivered image.
    case outputOfDeliveredImage
    /// An output was delivered by an attempt at the image's own task.
    case outputOfKnownAttempt
    /// A lease is held on a task that is not over, and is its only place in the queue.
    case leaseOfLiveTask
    /// A task that can be claimed, or rests, is not over, and is written there as the task is.
    case readyRowOfReadyTask
    /// A task that is not over can be claimed, rests, or is leased: one of them.
    case liveTaskHasOnePlace
    /// A task that waits for a worker was promised to it, and to no other.
    case promisedTaskHasWorker
    /// A head that is marked empty has no ready task.
    case emptyHeadHasNoReadyTask
    /// A lease has the epoch that follows its task's last.
    case leaseEpochFollowsTasks
    /// The epochs of a task's attempts are unique, and none is above the task's.
    case attemptEpochsRise
    /// A job's counters are the sums over its images and tasks.
    case jobCountersAreSums
    /// A task's counters are the sums over its images.
    case taskCountersAreSums
    /// A draft is undecided, a task of its own, and has its checkpoint.
    case draftHasCheckpoint
    /// A final task has no image that waits.
    case finalTaskHasNoWaitingImage
    /// A final job has no live task.
    case finalJobHasNoLiveTask
    /// A job without a live task is final.
    case endedJobIsFinal
    /// Of a job that succeeded every image is delivered but for drafts that were dropped; of a task every one.
    case successDeliveredAll
    /// A job's events are numbered from 1 to its count without a gap.
    case eventsWithoutGap
    /// Costs and charges are finite numbers.
    case chargesFinite
    /// A group that is not over has a worker in each seat, and one that is over has none.
    case groupSeatsAreWhole
    /// The first rank of a group that is ready, and nobody else, stands in for its group.
    case leadStandsForGroup
    /// A worker shows one key, and has told one more at most.
    case workerShowsOneKey
    /// Each job of the farm's own is a copy of an audited picture.
    case copyHasAudit
    /// An audit has as many copies as its state says.
    case auditHasCopies
}

/// One thing that is not as it must be.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
    package let invariant: DatabaseInvariant
    /// What breaks it, in words with ids.
    package let detail: String

    package var description: String { "\(invariant.rawValue): \(detail)" }
}

extension FarmStore {
    /// Returns what breaks the farm's invariants; nothing when all hold.
    ///
    /// Reads whole tables: for the ends of simulations and fault runs, not for a working farm's
    /// every minute.
    package func audit(limitPerInvariant: Int = 100) async throws -> [Violation] {
        var violations: [Violation] = []
        for invariant in DatabaseInvariant.allCases {
            violations += try await audit(invariant, limit: limitPerInvariant)
        }
        return violations
    }

    /// Returns what breaks one invariant.
    package func audit(
        _ invariant: DatabaseInvariant,
        limit: Int
    ) async throws -> [Violation] {
        try await pool.withLongTransaction { connection in
            var query: Query = """
                SELECT detail FROM (\(raw: invariant.violations)) AS found LIMIT \(limit)
                """
            query.isOneOff = true
            return try await connection.query(query).map {
                Violation(invariant: invariant, detail: try $0.decode("detail"))
            }
        }
    }
}

extension DatabaseInvariant {
    /// The query of the rows that break it, with a column `detail`.
    fileprivate var violations: String {
        switch self {
        case .imageDeliveredOnce: Self.doubledImages
        case .deliveredImageHasOutput:
            """
            SELECT format('image %s is delivered and has no output', image.id) AS detail
            FROM image LEFT JOIN output ON output.image_id = image.id
            WHERE image.state = 'delivered' AND output.image_id IS NULL
            """
        case .outputOfDeliveredImage:
            """
            SELECT format('image %s has an output and is %s', output.image_id,
                coalesce(image.state, 'not there')) AS detail
            FROM output LEFT JOIN image ON image.id = output.image_id
            WHERE image.state IS DISTINCT FROM 'delivered'
            """
        case .outputOfKnownAttempt: Self.unknownAttempts
        case .groupSeatsAreWhole: Self.brokenSeats
        case .leadStandsForGroup: Self.wrongLeads
        case .workerShowsOneKey:
            """
            SELECT format('worker %s has %s keys, and has shown %s', worker_id, count(*),
                count(used_at)) AS detail
            FROM worker_credential GROUP BY worker_id HAVING count(used_at) > 1 OR count(*) > 2
            """
        case .copyHasAudit: Self.loneCopies
        case .auditHasCopies: Self.wrongCopies
        case .leaseOfLiveTask:
            """
            SELECT format('task %s has a lease and is %s', lease.task_id,
                coalesce(task.state, 'not there')) AS detail
            FROM lease LEFT JOIN task ON task.id = lease.task_id
            WHERE task.state IS DISTINCT FROM 'ready'
            """
        case .readyRowOfReadyTask: Self.wrongReadyRows
        case .liveTaskHasOnePlace: Self.wrongPlaces
        case .promisedTaskHasWorker:
            """
            SELECT format('task %s waits for the worker %s, which was promised %s', ready.task_id,
                ready.promised, coalesce(worker.promised_task::text, 'nothing')) AS detail
            FROM ready LEFT JOIN worker ON worker.id = ready.promised
            WHERE ready.promised IS NOT NULL
                AND worker.promised_task IS DISTINCT FROM ready.task_id
            """
        case .emptyHeadHasNoReadyTask:
            """
            SELECT format('head %s is marked empty and has ready tasks', head.id) AS detail
            FROM head WHERE head.is_empty
                AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
            """
        case .leaseEpochFollowsTasks:
            """
            SELECT format('task %s ended epoch %s and its lease has %s', task.id, task.epoch,
                lease.epoch) AS detail
            FROM lease JOIN task ON task.id = lease.task_id
            WHERE lease.epoch <> task.epoch + 1
            """
        case .attemptEpochsRise: Self.wrongEpochs
        case .jobCountersAreSums: Self.wrongJobCounters
        case .taskCountersAreSums: Self.wrongTaskCounters
        case .draftHasCheckpoint: Self.wrongDrafts
        case .finalTaskHasNoWaitingImage:
            """
            SELECT format('image %s waits and its task is %s', image.id, task.state) AS detail
            FROM image JOIN task ON task.id = image.task_id
            WHERE image.state = 'waiting'
                AND task.state IN ('succeeded', 'failed', 'cancelled')
            """
        case .finalJobHasNoLiveTask:
            """
            SELECT format('job %s is %s and its task %s is %s', job.id, job.state, task.number,
                task.state) AS detail
            FROM task JOIN job ON job.id = task.job_id
            WHERE task.state NOT IN ('succeeded', 'failed', 'cancelled')
                AND job.state IN ('succeeded', 'failed', 'cancelled')
            """
        case .endedJobIsFinal:
            """
            SELECT format('job %s is %s and has no live task', job.id, job.state) AS detail
            FROM job WHERE job.state NOT IN ('succeeded', 'failed', 'cancelled')
                AND NOT EXISTS (
                    SELECT FROM task WHERE task.job_id = job.id
                        AND task.state NOT IN ('succeeded', 'failed', 'cancelled')
                )
            """
        case .successDeliveredAll:
            """
            SELECT format('job %s succeeded and its image %s is %s', job.id, image.index,
                image.state) AS detail
            FROM job JOIN image ON image.job_id = job.id
            LEFT JOIN draft ON draft.image_id = image.id
            WHERE job.state = 'succeeded' AND image.state <> 'delivered'
                AND (image.state = 'cancelled' AND draft.decision IN ('dropped', 'expired'))
                    IS NOT TRUE
            UNION ALL
            SELECT format('task %s succeeded and its image %s is %s', task.id, image.index,
                image.state)
            FROM task JOIN image ON image.task_id = task.id
            WHERE task.state = 'succeeded' AND image.state <> 'delivered'
            """
        case .eventsWithoutGap: Self.eventGaps
        case .chargesFinite: Self.infiniteCharges
        }
    }
}
