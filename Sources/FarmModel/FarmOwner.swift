/// Owners of the farm's own: no token can be of one, and lists of jobs leave theirs out.
package enum FarmOwner {
    /// What the names of all of them begin with.
    package static let prefix = "farm:"

    /// Whose the copies are by which pictures are audited.
    package static let audits = "farm:audits"

    /// Under whose name what a copy computes is kept, so that no audit depends on another.
    package static func artifacts(ofCopy job: JobID) -> String { "\(audits):\(job)" }
}
