/// Which failed images of a job to try again.
package struct RetryRequest: Codable, Hashable, Sendable {
    /// Their indices; nil for every failed one.
    package var images: [Int]?

    package init(images: [Int]? = nil) {
        self.images = images
    }
}
