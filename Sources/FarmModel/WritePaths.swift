/// The address of a delivery: `PUT /v1/attempts/{id}/images/{index}`, the picture's bytes as its
/// body.
package struct DeliveryRequest: Hashable, Sendable {
    package var fence: AttemptFence
    package var imageIndex: Int
    /// Whether this is the last image of the attempt and ends it as `complete` does.
    package var isFinal: Bool
    /// What the attempt has cost; it counts where the delivery is final.
    package var report: AttemptReport?
    /// What the bytes have to hash to, so that none that were changed or cut short on the way count;
    /// nil where the worker does not say.
    package var digest: BlobDigest?

    package init(
        fence: AttemptFence,
        imageIndex: Int,
        isFinal: Bool = false,
        report: AttemptReport? = nil,
        digest: BlobDigest? = nil
    ) {
        self.fence = fence
        self.imageIndex = imageIndex
        self.isFinal = isFinal
        self.report = report
        self.digest = digest
    }

    /// The path and query.
    package var path: String {
        var query = FenceQuery(fence).items
        if isFinal { query.append("final=true") }
        if let digest { query.append("digest=\(digest)") }
        if let report { query += ReportQuery(report).items }
        return "/v1/attempts/\(fence.attempt)/images/\(imageIndex)?"
            + query.joined(separator: "&")
    }

    /// The keys of the query.
    package static let queryKeys = FenceQuery.keys + ["final", "digest"] + ReportQuery.keys

    /// Reads an address, or returns nil where the query lacks the lease or holds no numbers or no
    /// digest where there has to be one.
    ///
    /// - Parameters:
    ///   - attempt: The attempt of the path.
    ///   - imageIndex: The image of the path.
    ///   - query: The value of a key of the query.
    package init?(attempt: AttemptID, imageIndex: Int, query: (String) -> String?) {
        guard let fence = FenceQuery(attempt: attempt, query: query)?.fence else { return nil }
        self.init(fence: fence, imageIndex: imageIndex, isFinal: query("final") == "true")
        if let text = query("digest") {
            guard let digest = BlobDigest(rawValue: text) else { return nil }
            self.digest = digest
        }
        guard query("steps") != nil else { return }
        guard let report = ReportQuery(query: query)?.report else { return nil }
        self.report = report
    }
}

/// The address of a checkpoint: `PUT /v1/attempts/{id}/checkpoint`, its bytes as its body.
package struct CheckpointRequest: Hashable, Sendable {
    package var fence: AttemptFence
    package var imageIndex: Int
    /// The steps that it holds, at least one.
    package var step: Int
    /// The class in which it may be continued.
    package var numericClass: String

    package init(fence: AttemptFence, imageIndex: Int, step: Int, numericClass: String) {
        self.fence = fence
        self.imageIndex = imageIndex
        self.step = step
        self.numericClass = numericClass
    }

    /// The path and query.
    package var path: String {
        let query =
            FenceQuery(fence).items
            + ["image=\(imageIndex)", "step=\(step)", "class=\(URLText.encode(numericClass))"]
        return "/v1/attempts/\(fence.attempt)/checkpoint?" + query.joined(separator: "&")
    }

    /// The keys of the query.
    package static let queryKeys = FenceQuery.keys + ["image", "step", "class"]

    /// Reads an address, or returns nil where the query lacks something.
    ///
    /// - Parameters:
    ///   - attempt: The attempt of the path.
    ///   - query: The value of a key of the query, decoded.
    package init?(attempt: AttemptID, query: (String) -> String?) {
        guard let fence = FenceQuery(attempt: attempt, query: query)?.fence,
            let image = query("image").flatMap({ Int32($0) }), image >= 0,
            let step = query("step").flatMap({ Int32($0) }), step > 0,
            let numericClass = query("class")
        else { return nil }
        self.init(
            fence: fence,
            imageIndex: Int(image),
            step: Int(step),
            numericClass: numericClass
        )
    }
}

/// The task and epoch of a lease, which a write of bytes carries in its query.
struct FenceQuery {
    var fence: AttemptFence

    init(_ fence: AttemptFence) { self.fence = fence }

    init?(attempt: AttemptID, query: (String) -> String?) {
        guard let task = query("task").flatMap({ TaskID($0) }),
            let epoch = query("epoch").flatMap({ Int64($0) })
        else { return nil }
        fence = AttemptFence(task: task, attempt: attempt, epoch: epoch)
    }

    static let keys = ["task", "epoch"]

    var items: [String] { ["task=\(fence.task)", "epoch=\(fence.epoch)"] }
}

/// What an attempt has cost, which a write of bytes that ends it carries in its query.
struct ReportQuery {
    var report: AttemptReport

    init(_ report: AttemptReport) { self.report = report }

    init?(query: (String) -> String?) {
        guard let steps = query("steps").flatMap({ Int($0) }),
            let seconds = query("seconds").flatMap(Double.init),
            let computed = query("computed").flatMap({ Int($0) }),
            let found = query("found").flatMap({ Int($0) }),
            let cold = query("cold_start_seconds").flatMap(Double.init)
        else { return nil }
        report = AttemptReport(
            stepsComputed: steps,
            seconds: seconds,
            conditionsComputed: computed,
            conditionsFound: found,
            coldStartSeconds: cold
        )
    }

    static let keys = ["steps", "seconds", "computed", "found", "cold_start_seconds"]

    var items: [String] {
        [
            "steps=\(report.stepsComputed)", "seconds=\(report.seconds)",
            "computed=\(report.conditionsComputed)", "found=\(report.conditionsFound)",
            "cold_start_seconds=\(report.coldStartSeconds)",
        ]
    }
}

/// Text as it stands in a URL.
package enum URLText {
    /// The text with everything but letters, digits, `-`, `.`, `_` and `~` as `%XX` of its UTF-8.
    package static func encode(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (byte < 16 ? "0" : "") + digits
            }
        }
        return result
    }

    /// The text whose bytes `%XX` stand for, or nil where there is none.
    package static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.first != UInt8(ascii: "+"),
                let value = UInt8(Substring(digits), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
