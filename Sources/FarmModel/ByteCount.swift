/// Amounts of memory as people write them.
package enum ByteCount {
    private static let units: [(name: String, size: Int64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000),
        ("B", 1),
    ]

    /// Reads `16GiB`, `500MB` or a bare number of bytes, or returns nil for other text.
    package static func bytes(_ text: String) -> Int64? {
        let unit = units.first { text.hasSuffix($0.name) }
        let digits = unit.map { text.dropLast($0.name.count) } ?? text[...]
        let number = digits.hasSuffix(" ") ? digits.dropLast() : digits
        let size = unit?.size ?? 1
        if let whole = Int64(number), whole >= 0 {
            let (bytes, isTooLarge) = whole.multipliedReportingOverflow(by: size)
            return isTooLarge ? nil : bytes
        }
        guard number.utf8.allSatisfy({ "0123456789.".utf8.contains($0) }),
            let value = Double(number), (0...1e18).contains(value * Double(size))
        else { return nil }
        return Int64((value * Double(size)).rounded())
    }

    /// The amount in its largest binary unit, exact where it is a whole number of one.
    package static func text(_ bytes: Int64) -> String {
        let binary = units.prefix(4)
        guard let unit = binary.first(where: { bytes.magnitude >= $0.size.magnitude }) else {
            return "\(bytes) B"
        }
        guard bytes % unit.size != 0 else { return "\(bytes / unit.size) \(unit.name)" }
        let tenths = Int64((Double(bytes) / Double(unit.size) * 10).rounded())
        return "\(tenths / 10).\(abs(tenths % 10)) \(unit.name)"
    }
}
