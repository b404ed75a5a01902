package import FarmModel
package import FoundationEssentials
import Postgres

/// The audit of a picture as it stands.
package struct PictureAuditRecord: Sendable, Hashable {
    package let id: Int64
    package let state: PictureAuditState
    package let image: ImageID
    package let job: JobID
    package let index: Int
    package let owner: String
    package let numericClass: String
    /// The picture as it was delivered.
    package let original: AuditedRendering
    /// Its copies in their order.
    package let copies: [PictureCopyRecord]
    /// The worker that two others contradict, by name.
    package let liar: String?
    /// Workers of which one is wrong, by name.
    package let suspects: [String]
    package let drawnAt: Date
    package let decidedAt: Date?

    /// The picture and those of its copies that are made, in their order.
    package var renderings: [AuditedRendering] { [original] + copies.compactMap(\.rendering) }

    init(_ row: Row, copies: [PictureCopyRecord]) throws {
        id = try row.decode("id")
        state = try row.decode("state")
        image = try row.decode("image_id")
        job = try row.decode("job_id")
        index = try row.decode("index")
        owner = try row.decode("owner")
        numericClass = try row.decode("numeric_class")
        original = AuditedRendering(
            worker: try row.decode("worker_id"),
            name: try row.decode("worker_name"),
            digest: try row.decode("digest"),
            isShared: try row.decode("is_shared")
        )
        self.copies = copies
        liar = try row.decodeIfPresent("liar")
        suspects = try row.decode("suspects")
        drawnAt = try row.decode("drawn_at")
        decidedAt = try row.decodeIfPresent("decided_at")
    }
}

/// A copy of an audited picture.
package struct PictureCopyRecord: Sendable, Hashable {
    /// The job that renders it, the farm's own; gone when the audit is decided.
    package let job: JobID
    /// What came of it; nil while nobody has made it.
    package let rendering: AuditedRendering?

    init(_ row: Row) throws {
        job = try row.decode("job_id")
        rendering = try row.decodeIfPresent("digest", as: String.self).map { digest in
            AuditedRendering(
                worker: try row.decode("worker_id"),
                name: try row.decode("worker_name"),
                digest: digest,
                isShared: try row.decode("is_shared")
            )
        }
    }
}

/// A picture that a worker delivered.
package struct DeliveredPicture: Sendable, Hashable {
    package let image: ImageID
    package let job: JobID
    package let index: Int
    package let owner: String
    package let digest: String
    package let deliveredAt: Date

    init(_ row: Row) throws {
        image = try row.decode("image_id")
        job = try row.decode("job_id")
        index = try row.decode("index")
        owner = try row.decode("owner")
        digest = try row.decode("digest")
        deliveredAt = try row.decode("delivered_at")
    }
}

/// What one run of the audits duty did.
package struct PictureAuditReport: Sendable, Hashable {
    /// How many copies were put into the queue.
    package var begun = 0
    /// How many audits reached each state.
    package var reached: [PictureAuditState: Int] = [:]
    /// The workers that were quarantined.
    package var quarantined: [WorkerID] = []

    /// Creates the report of a run that found nothing to do.
    package init() {}
}

extension PictureAuditState: PostgresValue {}
