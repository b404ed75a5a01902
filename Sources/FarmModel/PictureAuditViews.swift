package import FoundationEssentials

/// The audit of a picture as the API gives it: who rendered what, and what came of the comparison.
package struct PictureAuditView: Codable, Hashable, Sendable {
    package var number: Int64
    package var state: PictureAuditState
    package var image: ImageID
    package var job: JobID
    package var index: Int
    package var owner: String
    package var numericClass: String
    /// Who made what: the delivered picture first, then its copies.
    package var renderings: [AuditedRenderingView]
    /// The worker that two others contradict, by name.
    package var liar: String?
    /// Workers of which one is wrong, where nobody can say which; or the one that delivered what others
    /// had begun.
    package var suspects: [String]
    package var drawnAt: Date
    package var decidedAt: Date?

    package init(
        number: Int64,
        state: PictureAuditState,
        image: ImageID,
        job: JobID,
        index: Int,
        owner: String,
        numericClass: String,
        renderings: [AuditedRenderingView],
        drawnAt: Date
    ) {
        self.number = number
        self.state = state
        self.image = image
        self.job = job
        self.index = index
        self.owner = owner
        self.numericClass = numericClass
        self.renderings = renderings
        suspects = []
        self.drawnAt = drawnAt
    }
}

/// What one worker made of an audited picture.
package struct AuditedRenderingView: Codable, Hashable, Sendable {
    /// Its name; nil while nobody has made it.
    package var worker: String?
    package var digest: String?
    /// Whether other workers had begun it before.
    package var isShared: Bool

    package init(worker: String?, digest: String?, isShared: Bool) {
        self.worker = worker
        self.digest = digest
        self.isShared = isShared
    }
}

/// A picture that a worker delivered, as one that others contradict: it may want to be rendered again.
package struct DeliveredPictureView: Codable, Hashable, Sendable {
    package var image: ImageID
    package var job: JobID
    package var index: Int
    package var owner: String
    package var digest: String
    package var deliveredAt: Date

    package init(
        image: ImageID,
        job: JobID,
        index: Int,
        owner: String,
        digest: String,
        deliveredAt: Date
    ) {
        self.image = image
        self.job = job
        self.index = index
        self.owner = owner
        self.digest = digest
        self.deliveredAt = deliveredAt
    }
}
