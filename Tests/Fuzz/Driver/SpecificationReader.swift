import FarmModel
import FoundationEssentials

/// Jobs: what is accepted reads back as the same job, and names images that stay in their folder.
enum SpecificationReader {
    /// The most images whose names are looked at.
    private static let mostImages = 1000
    private static let defaults = ModelDefaults(
        width: 512,
        height: 256,
        refRes: 384,
        steps: 7,
        guidance: 4.5
    )

    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        guard let job = try? JobSpecification(parsing: Data(bytes)) else { return .taken }
        do {
            let again = try JobSpecification(parsing: job.canonicalJSON)
            guard again.canonicalJSON == job.canonicalJSON, again.imageCount == job.imageCount
            else {
                preconditionFailure("another job than was written: \(job.canonicalJSON)")
            }
            guard try JobSpecification(document: job.document).digest == job.digest else {
                preconditionFailure("another job than its document: \(job.canonicalJSON)")
            }
        } catch {
            preconditionFailure("what was accepted is refused: \(error): \(job.canonicalJSON)")
        }
        guard job.imageCount <= mostImages else { return .taken }
        let images = job.images(defaults: defaults, seed: 1, label: "label")
        precondition(images.count == job.imageCount, "another count of images than it says")
        for image in images where !OutputName.isSafe(image.name) {
            preconditionFailure("an image leaves its folder: \(image.name)")
        }
        return .taken
    }
}
