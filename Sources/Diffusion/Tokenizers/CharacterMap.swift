/// The normalization rules compiled into a SentencePiece model, applied as the reference applies
/// them.
///
/// The rules are a double-array trie from text to replacement. The library replaces the longest
/// match at each position; the reference's `tokenizers` looks at whole grapheme clusters of fewer
/// than six bytes first and takes the *shortest* match as the replacement of the whole cluster, so
/// that a second accent is lost, and looks at single scalars otherwise.
struct CharacterMap: Sendable {
    private var units: [UInt32] = []
    private var replacements: ArraySlice<UInt8> = []

    /// Splits the map into trie and replacements, or returns nil when its length is a lie.
    init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else {
            return
        }
        guard bytes.count >= 4 else {
            return nil
        }
        let size = Int(Self.word(bytes, at: 0))
        guard size >= 4, size.isMultiple(of: 4), size <= bytes.count - 4 else {
            return nil
        }
        units = bytes.withUnsafeBytes { buffer in
            // In bounds by the checks above; loads may be unaligned.
            stride(from: 4, to: 4 + size, by: 4).map {
                UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
            }
        }
        replacements = bytes[(4 + size)...]
    }

    /// Returns the UTF-8 bytes of the normalized text.
    func normalized(_ text: String) -> [UInt8] {
        guard !units.isEmpty else {
            return Array(text.utf8)
        }
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for cluster in text {
            let bytes = Array(cluster.utf8)
            if bytes.count < 6, let replacement = replacement(for: bytes[...]) {
                result.append(contentsOf: replacement)
                continue
            }
            var start = 0
            for scalar in cluster.unicodeScalars {
                let end = start + UTF8.width(scalar)
                result.append(
                    contentsOf: replacement(for: bytes[start..<end]) ?? bytes[start..<end]
                )
                start = end
            }
        }
        return result
    }

    /// Returns the replacement of the shortest rule that begins `bytes`, if any.
    private func replacement(for bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        var position = Self.offset(units[0])
        for byte in bytes where byte != 0 {
            position ^= Int(byte)
            guard units.indices.contains(position) else {
                return nil
            }
            let unit = units[position]
            guard unit & 0x8000_00ff == UInt32(byte) else {
                return nil
            }
            position ^= Self.offset(unit)
            if unit & 0x100 != 0 {
                guard units.indices.contains(position) else {
                    return nil
                }
                return
                    replacements
                    .dropFirst(Int(units[position] & 0x7fff_ffff))
                    .prefix { $0 != 0 }
            }
        }
        return nil
    }

    private static func offset(_ unit: UInt32) -> Int {
        Int((unit >> 10) << ((unit & 0x200) >> 6))
    }

    private static func word(_ bytes: [UInt8], at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * UInt32($1)) }
    }
}
