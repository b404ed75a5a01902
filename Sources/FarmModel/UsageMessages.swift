/// What an owner's jobs used of the farm in some time.
package struct UsageView: Codable, Hashable, Sendable {
    package var owner: String
    /// Pictures that were delivered.
    package var images: Int
    /// Their bytes.
    package var imageBytes: Int64
    /// Attempts that ended.
    package var attempts: Int
    /// Seconds that workers computed for those that succeeded.
    package var usefulSeconds: Double
    /// Seconds that workers computed for those that did not.
    package var lostSeconds: Double
    /// Denoising steps that were computed.
    package var steps: Int64

    package init(
        owner: String,
        images: Int,
        imageBytes: Int64,
        attempts: Int,
        usefulSeconds: Double,
        lostSeconds: Double,
        steps: Int64
    ) {
        self.owner = owner
        self.images = images
        self.imageBytes = imageBytes
        self.attempts = attempts
        self.usefulSeconds = usefulSeconds
        self.lostSeconds = lostSeconds
        self.steps = steps
    }
}
