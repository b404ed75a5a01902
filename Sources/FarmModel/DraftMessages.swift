package import FoundationEssentials

/// Which drafts a person keeps: the body of `POST /v1/jobs/{id}/keep`; one of the two keys.
package struct KeepRequest: Codable, Hashable, Sendable {
    /// The indices of the images.
    package var images: [Int]?
    /// Every draft that waits now.
    package var all: Bool?

    package init(images: [Int]? = nil, all: Bool? = nil) {
        self.images = images
        self.all = all
    }
}

/// Which drafts a person drops: the body of `POST /v1/jobs/{id}/drop`; one of the two keys.
package struct DropRequest: Codable, Hashable, Sendable {
    /// The indices of the images.
    package var images: [Int]?
    /// Every draft that waits now, those that were kept being drafts no more.
    package var rest: Bool?

    package init(images: [Int]? = nil, rest: Bool? = nil) {
        self.images = images
        self.rest = rest
    }
}

/// What became of a draft.
package enum DraftDecision: String, Codable, CaseIterable, Sendable {
    /// A person wants it finished.
    case kept
    /// A person does not.
    case dropped
    /// Nobody decided for as long as drafts are kept.
    case expired
}

/// An image's draft as the API gives it.
package struct DraftView: Codable, Hashable, Sendable {
    /// After how many steps it was made.
    package var step: Int
    /// The digest of its picture; nil where that is kept no longer.
    package var digest: String?
    package var size: Int64
    /// As `image/jpeg`.
    package var mediaType: String
    package var draftedAt: Date
    /// What was decided; nil while it waits.
    package var decision: DraftDecision?
    package var decidedAt: Date?

    package init(
        step: Int,
        digest: String?,
        size: Int64,
        mediaType: String,
        draftedAt: Date,
        decision: DraftDecision?,
        decidedAt: Date?
    ) {
        self.step = step
        self.digest = digest
        self.size = size
        self.mediaType = mediaType
        self.draftedAt = draftedAt
        self.decision = decision
        self.decidedAt = decidedAt
    }
}

/// The types of pictures that a draft may have.
package enum DraftPictureType: String, CaseIterable, Sendable {
    case jpeg
    case png

    /// As `image/jpeg`.
    package var mediaType: String { "image/\(rawValue)" }

    /// The end of a file's name.
    package var fileExtension: String { self == .jpeg ? "jpg" : "png" }

    /// Reads a media type; nil for another.
    package init?(mediaType: String) {
        guard let type = Self.allCases.first(where: { $0.mediaType == mediaType }) else {
            return nil
        }
        self = type
    }
}

/// The address of a draft: `PUT /v1/attempts/{id}/draft`, its picture's bytes as its body.
///
/// It ends the attempt; the image's checkpoint of the same step is stored before.
package struct DraftRequest: Hashable, Sendable {
    package var fence: AttemptFence
    package var imageIndex: Int
    /// After how many steps it was made, at least one.
    package var step: Int
    package var type: DraftPictureType
    /// What the attempt has cost.
    package var report: AttemptReport?

    package init(
        fence: AttemptFence,
        imageIndex: Int,
        step: Int,
        type: DraftPictureType,
        report: AttemptReport? = nil
    ) {
        self.fence = fence
        self.imageIndex = imageIndex
        self.step = step
        self.type = type
        self.report = report
    }

    /// The path and query.
    package var path: String {
        var query =
            FenceQuery(fence).items
            + ["image=\(imageIndex)", "step=\(step)", "type=\(type.rawValue)"]
        if let report { query += ReportQuery(report).items }
        return "/v1/attempts/\(fence.attempt)/draft?" + query.joined(separator: "&")
    }

    /// The keys of the query.
    package static let queryKeys = FenceQuery.keys + ["image", "step", "type"] + ReportQuery.keys

    /// Reads an address, or returns nil where the query lacks something.
    ///
    /// - Parameters:
    ///   - attempt: The attempt of the path.
    ///   - query: The value of a key of the query.
    package init?(attempt: AttemptID, query: (String) -> String?) {
        guard let fence = FenceQuery(attempt: attempt, query: query)?.fence,
            let image = query("image").flatMap({ Int32($0) }), image >= 0,
            let step = query("step").flatMap({ Int32($0) }), step > 0,
            let type = query("type").flatMap(DraftPictureType.init(rawValue:))
        else { return nil }
        self.init(fence: fence, imageIndex: Int(image), step: Int(step), type: type)
        guard query("steps") != nil else { return }
        guard let report = ReportQuery(query: query)?.report else { return nil }
        self.report = report
    }
}
