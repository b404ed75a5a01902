/// What erasing an owner takes away: the answer to `DELETE /v1/accounts/{owner}?what_if=true`, and to
/// an erasure, what it took.
package struct ErasureView: Codable, Hashable, Sendable {
    package var owner: String
    package var jobs: Int
    /// Those of the jobs that are not over; an erasure cancels them.
    package var liveJobs: Int
    package var images: Int
    /// Delivered pictures.
    package var outputs: Int
    package var outputBytes: Int64
    /// Computed conditions.
    package var artifacts: Int
    package var tokens: Int
    /// Blobs that nobody else has: references, pictures, checkpoints, conditions.
    package var blobs: Int
    package var isErased: Bool

    package init(owner: String) {
        self.owner = owner
        jobs = 0
        liveJobs = 0
        images = 0
        outputs = 0
        outputBytes = 0
        artifacts = 0
        tokens = 0
        blobs = 0
        isErased = false
    }

    /// Whether there is nothing of the owner.
    package var isEmpty: Bool { jobs + artifacts + tokens + blobs == 0 }
}
