/// A format in which series are written for a reader.
package enum Exposition: Sendable, CaseIterable {
    /// Prometheus's text format 0.0.4.
    case text
    /// OpenMetrics 1.0.
    case openMetrics

    /// As an answer's `Content-Type`.
    package var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The format that a request's `Accept` asks for; the text format where it does not care.
    package init(accept: String?) {
        var wished = 0.0
        var plain = 0.0
        for range in (accept ?? "").split(separator: ",") {
            let parts = range.split(separator: ";").map { part in
                String(part.filter { $0 != " " && $0 != "\t" }).lowercased()
            }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }
            let quality = weight.flatMap { Double($0.dropFirst(2)) } ?? 1
            switch parts.first {
            case "application/openmetrics-text": wished = max(wished, quality)
            case "text/plain", "text/*": plain = max(plain, quality)
            default: break
            }
        }
        self = wished > 0 && wished >= plain ? .openMetrics : .text
    }

    /// Writes families, each with its description before its series.
    ///
    /// Bounds of buckets are written alike in both, so that a reader has the same series whatever it
    /// asked for.
    package func write(_ families: [any MetricFamily]) -> String {
        var writer = ExpositionWriter(format: self)
        for family in families { writer.write(family) }
        return writer.finished()
    }
}

/// A text of series as it grows.
private struct ExpositionWriter {
    let format: Exposition
    private var text = ""

    init(format: Exposition) {
        self.format = format
    }

    mutating func write(_ family: any MetricFamily) {
        let description = family.description
        writeHead(of: description)
        for series in family.series() {
            let labels = zip(description.labels, series.labels).map { label, value in
                "\(label.name)=\"\(value.escaped(quotes: true))\""
            }.joined(separator: ",")
            switch series.value {
            case .number(let value): writeSample(description.name, labels, value)
            case .distribution(let distribution):
                write(distribution, of: description.name, labels)
            }
        }
    }

    func finished() -> String { format == .openMetrics ? text + "# EOF\n" : text }

    private mutating func writeHead(of description: MetricDescription) {
        let isOpen = format == .openMetrics
        let name = isOpen ? description.family : description.name[...]
        // The older format knows no info.
        let kind = description.kind == .info && !isOpen ? .gauge : description.kind
        text += "# HELP \(name) \(description.help.escaped(quotes: isOpen))\n"
        text += "# TYPE \(name) \(kind.rawValue)\n"
        if isOpen, name.hasSuffix("_" + description.unit) {
            text += "# UNIT \(name) \(description.unit)\n"
        }
    }

    private mutating func write(
        _ distribution: Distribution,
        of name: String,
        _ labels: String
    ) {
        let before = labels.isEmpty ? "" : labels + ","
        let bounds = distribution.bounds.map { $0.description } + ["+Inf"]
        let counts = distribution.cumulativeCounts
        for (bound, count) in zip(bounds, counts) {
            text += "\(name)_bucket{\(before)le=\"\(bound)\"} \(count)\n"
        }
        writeSample(name + "_sum", labels, distribution.sum)
        writeSample(name + "_count", labels, Double(counts.last ?? 0))
    }

    private mutating func writeSample(_ name: String, _ labels: String, _ value: Double) {
        text += labels.isEmpty ? name : "\(name){\(labels)}"
        text += " \(value.sample)\n"
    }
}

extension Double {
    /// The number as both formats write it.
    fileprivate var sample: String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: self), magnitude < 1e15 { return "\(whole)" }
        return description
    }
}

extension String {
    /// The text with what would end a line, and a quoted text where it is one, escaped.
    fileprivate func escaped(quotes: Bool) -> String {
        guard utf8.contains(where: { $0 == 0x5c || $0 == 0x0a || $0 == 0x22 }) else { return self }
        var escaped = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
