extension Duration {
    /// The longest that a number of seconds from elsewhere counts as: thirty years.
    private static let longestSeconds = 1e9

    /// As long as a number of seconds says that came from elsewhere, at least nothing; what is no
    /// number counts as nothing.
    package static func clamped(seconds: Double) -> Duration {
        guard seconds > 0 else { return .zero }
        return .seconds(min(seconds, longestSeconds))
    }
}
