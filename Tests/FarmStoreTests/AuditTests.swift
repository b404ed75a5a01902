import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct AuditTests {
    /// A farm with a task in every place: delivered, leased, ready, resting, failed.
    private func farmAtWork() async throws -> PlantedFarm {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 5)
        let done = try await farm.claim(worker.id, of: job)
        let output = DeliveredOutput(digest: "d", size: 1)
        _ = try await farm.store.deliverImage(done, imageIndex: 0, output: output)
        #expect(try await farm.store.completeAttempt(done) == .done(.succeeded))
        let again = try await farm.claim(worker.id, of: job)
        #expect(
            try await farm.store.failAttempt(
                again,
                failure: AttemptFailure(failureClass: .transient, message: "the wind blew")
            ) == .done(.ready)
        )
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        _ = try await farm.claim(worker.id, of: job)
        try await farm.pool.execute(
            """
            INSERT INTO account_usage (owner, slot, charge) VALUES ('ann', 99, 1)
            ON CONFLICT DO NOTHING
            """
        )
        return farm
    }

    @Test("a farm at work has nothing to complain of")
    func clean() async throws {
        let farm = try await farmAtWork()
        #expect(try await farm.store.audit() == [])
    }

    /// What breaks each invariant, as statements.
    static let plants: [DatabaseInvariant: [String]] = [
        .imageDeliveredOnce: [
            "ALTER TABLE output DROP CONSTRAINT output_pkey",
            "INSERT INTO output SELECT * FROM output",
        ],
        .deliveredImageHasOutput: ["DELETE FROM output"],
        .outputOfDeliveredImage: [
            """
            INSERT INTO output (image_id, job_id, digest, size, attempt_id)
            SELECT id, job_id, 'x', 1, gen_random_uuid() FROM image WHERE state = 'waiting' LIMIT 1
            """
        ],
        .outputOfKnownAttempt: ["UPDATE output SET attempt_id = gen_random_uuid()"],
        .leaseOfLiveTask: [
            """
            UPDATE task SET state = 'cancelled', finished_at = now()
            WHERE id = (SELECT task_id FROM lease)
            """
        ],
        .readyRowOfReadyTask: [
            """
            UPDATE task SET state = 'cancelled', finished_at = now()
            WHERE id = (SELECT task_id FROM ready LIMIT 1)
            """
        ],
        .liveTaskHasOnePlace: ["DELETE FROM lease"],
        .promisedTaskHasWorker: [
            "UPDATE ready SET promised = (SELECT id FROM worker LIMIT 1)"
        ],
        .emptyHeadHasNoReadyTask: ["UPDATE head SET is_empty = true"],
        .leaseEpochFollowsTasks: ["UPDATE lease SET epoch = epoch + 1"],
        .attemptEpochsRise: ["UPDATE task SET epoch = 0 WHERE state = 'succeeded'"],
        .jobCountersAreSums: ["UPDATE job SET delivered_count = delivered_count - 1"],
        .taskCountersAreSums: ["UPDATE task SET undelivered = 0 WHERE state = 'ready'"],
        .finalTaskHasNoWaitingImage: [
            """
            UPDATE image SET state = 'waiting', failure_class = NULL, failure_message = NULL
            WHERE state = 'failed'
            """
        ],
        .finalJobHasNoLiveTask: ["UPDATE job SET state = 'failed', finished_at = now()"],
        .endedJobIsFinal: [
            "UPDATE task SET state = 'cancelled', finished_at = now() WHERE state = 'ready'"
        ],
        .successDeliveredAll: [
            "UPDATE job SET state = 'succeeded', finished_at = now()"
        ],
        .eventsWithoutGap: ["DELETE FROM event WHERE number = 1"],
        .groupSeatsAreWhole: [
            """
            INSERT INTO worker_group (name, origin, pool, model_name, model_digest, precision, size,
                wanted_size, secret)
            VALUES ('g', 'needed', 'default', 'm', 'd', 'int8', 2, 2, repeat('x', 44))
            """
        ],
        .leadStandsForGroup: ["UPDATE worker SET own_class = '', own_speed = 0"],
        .workerShowsOneKey: [
            "INSERT INTO token (owner, role, hash) VALUES ('fleet', 'worker', 'h')",
            """
            INSERT INTO worker_credential (hash, worker_id, token_id, pool, expires_at, used_at)
            SELECT repeat(digit, 64), worker.id, token.id, 'default', now(), now()
            FROM worker, token, unnest('{0,1}'::text[]) AS digit
            """,
        ],
        .draftHasCheckpoint: ["UPDATE image SET state = 'drafted' WHERE state = 'waiting'"],
        .copyHasAudit: ["UPDATE job SET owner = 'farm:audits'"],
        .auditHasCopies: [
            """
            INSERT INTO picture_audit (state, image_id, job_id, task_id, index, owner, numeric_class,
                digest, attempt_id, worker_id, worker_name)
            SELECT 'rendering', image_id, job_id, gen_random_uuid(), 0, 'ann', 'c', digest, attempt_id,
                gen_random_uuid(), 'w' FROM output
            """
        ],
        .chargesFinite: ["UPDATE account_usage SET charge = 'NaN'"],
    ]

    @Test("each invariant finds what breaks it, by name", arguments: DatabaseInvariant.allCases)
    func planted(_ invariant: DatabaseInvariant) async throws {
        let farm = try await farmAtWork()
        for statement in try #require(Self.plants[invariant]) {
            try await farm.pool.execute(Query(raw: statement))
        }
        let violations = try await farm.store.audit(invariant, limit: 10)
        #expect(!violations.isEmpty)
        #expect(violations.allSatisfy { $0.invariant == invariant && !$0.detail.isEmpty })
        let all = try await farm.store.audit()
        #expect(violations.allSatisfy(all.contains))
    }

    @Test(
        "an epoch that is rewound or given twice is found",
        arguments: [
            "ALTER TABLE attempt DROP CONSTRAINT attempt_epoch_once; INSERT INTO attempt "
                + "(id, task_id, job_id, worker_id, epoch, outcome) SELECT gen_random_uuid(), "
                + "task_id, job_id, worker_id, epoch, 'released' FROM attempt LIMIT 1",
            "INSERT INTO attempt (id, task_id, job_id, worker_id, epoch, outcome) "
                + "SELECT gen_random_uuid(), id, job_id, gen_random_uuid(), epoch + 1, 'released' "
                + "FROM task WHERE state = 'succeeded'",
        ]
    )
    func epochs(_ script: String) async throws {
        let farm = try await farmAtWork()
        try await farm.pool.withConnection { try await $0.execute(script: script) }
        let violations = try await farm.store.audit()
        #expect(Set(violations.map(\.invariant)) == [.attemptEpochsRise])
    }
}
