/// The ids of one prompt, cut and padded to a fixed length.
package struct TokenizedText: Sendable, Equatable {
    /// Token ids, shape (maxLength,).
    package let ids: [Int]
    /// Count of ids before the padding, special tokens included.
    package let count: Int
    /// Whether the prompt was longer than `maxLength` and lost its end.
    package let wasTruncated: Bool

    /// Puts `content` between `prefix` and `suffix`, which truncation keeps, and pads the end.
    init(content: [Int], prefix: [Int], suffix: [Int], padding: Int, maxLength: Int) {
        let room = maxLength - prefix.count - suffix.count
        precondition(room >= 0, "the length has room for the special tokens")
        let kept = prefix + content.prefix(room) + suffix
        ids = kept + [Int](repeating: padding, count: maxLength - kept.count)
        count = kept.count
        wasTruncated = content.count > room
    }
}
