package import FarmModel
import Postgres

/// How far an image's denoising was when it was last saved.
package struct CheckpointRecord: Sendable, Hashable {
    /// The image's index in its job.
    package var imageIndex: Int
    /// The SHA-256 of the saved bytes.
    package var digest: String
    package var size: Int64
    /// How many steps are done.
    package var step: Int
    /// Only a worker of this class may go on from it.
    package var numericClass: String

    package init(imageIndex: Int, digest: String, size: Int64, step: Int, numericClass: String) {
        self.imageIndex = imageIndex
        self.digest = digest
        self.size = size
        self.step = step
        self.numericClass = numericClass
    }

    init(_ row: Row) throws {
        imageIndex = try row.decode("image_index")
        digest = try row.decode("digest")
        size = try row.decode("size")
        step = try row.decode("step")
        numericClass = try row.decode("numeric_class")
    }
}

extension FarmStore {
    /// Keeps the latest checkpoint of an image while the lease of its attempt is current; false
    /// when it is not, and nothing changed.
    ///
    /// A checkpoint of an image that is delivered, or of fewer steps, is answered without a change.
    package func putCheckpoint(
        _ fence: AttemptFence,
        _ checkpoint: CheckpointRecord
    ) async throws -> Bool {
        try await withRetriedTransaction { connection in
            guard try await Self.lockLease(fence, on: connection) else { return false }
            try await connection.execute(
                """
                INSERT INTO checkpoint (task_id, image_index, digest, size, step, numeric_class,
                    attempt_id)
                SELECT task_id, index, \(checkpoint.digest), \(checkpoint.size),
                    \(checkpoint.step), \(checkpoint.numericClass), \(fence.attempt)
                FROM image WHERE task_id = \(fence.task) AND index = \(checkpoint.imageIndex)
                    AND state = 'waiting'
                ON CONFLICT (task_id, image_index) DO UPDATE SET digest = excluded.digest,
                    size = excluded.size, step = excluded.step, saved_at = now(),
                    numeric_class = excluded.numeric_class, attempt_id = excluded.attempt_id
                WHERE checkpoint.step < excluded.step
                    OR checkpoint.attempt_id <> excluded.attempt_id
                """
            )
            return true
        }
    }

    /// Returns the latest checkpoints of a task's images that are not delivered, by index.
    package func checkpoints(of task: TaskID) async throws -> [CheckpointRecord] {
        try await pool.query(
            """
            SELECT checkpoint.image_index, checkpoint.digest, checkpoint.size, checkpoint.step,
                checkpoint.numeric_class
            FROM checkpoint JOIN image ON image.task_id = checkpoint.task_id
                AND image.index = checkpoint.image_index AND image.state = 'waiting'
            WHERE checkpoint.task_id = \(task) ORDER BY checkpoint.image_index
            """
        ).map(CheckpointRecord.init)
    }

    /// Locks a lease while it is current; false when it is not.
    static func lockLease(
        _ fence: AttemptFence,
        on connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.query(
            """
            SELECT FROM lease WHERE task_id = \(fence.task) AND attempt_id = \(fence.attempt)
                AND epoch = \(fence.epoch) FOR NO KEY UPDATE
            """
        ).count == 1
    }
}
