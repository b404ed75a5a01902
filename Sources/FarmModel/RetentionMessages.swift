/// How long an owner's things are kept from the end of their job on: the body of
/// `PUT /v1/retention/{owner}`.
///
/// Times are as in the settings (`90s`, `30m`, `720h`) or `forever`; one left out is as the farm's settings
/// say.
package struct RetentionRequest: Codable, Hashable, Sendable {
    /// Pictures.
    package var outputs: String?
    /// Jobs; those with pictures stay for as long as the pictures do.
    package var history: String?

    package init(outputs: String? = nil, history: String? = nil) {
        self.outputs = outputs
        self.history = history
    }
}

/// An owner's rule of retention: an item of `GET /v1/retention`.
package struct RetentionView: Codable, Hashable, Sendable {
    package var owner: String
    package var outputs: String?
    package var history: String?

    package init(owner: String, outputs: String? = nil, history: String? = nil) {
        self.owner = owner
        self.outputs = outputs
        self.history = history
    }
}

/// How long something is kept, as people write it.
package enum KeptTime {
    private static let forever = "forever"

    /// The seconds of a text, `infinity` for `forever`; nil where it says no time.
    package static func seconds(_ text: String) -> Double? {
        if text == forever { return .infinity }
        guard let duration = FarmSettings.duration(text) else { return nil }
        let parts = duration.components
        return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
    }

    /// The text of seconds, in the largest unit that they are whole in.
    package static func text(_ seconds: Double) -> String {
        guard seconds.isFinite else { return forever }
        for (unit, length) in [("h", 3600.0), ("m", 60.0)]
        where seconds > 0 && seconds.truncatingRemainder(dividingBy: length) == 0 {
            return "\(Int64(seconds / length))\(unit)"
        }
        return seconds == seconds.rounded() ? "\(Int64(seconds))s" : "\(seconds)s"
    }
}
