import Tensors

/// What the blocks behind the first added to the tokens, kept from step to step: first-block caching.
///
/// Neighbouring steps are often alike, and the first block tells: where what it adds to the picture's
/// tokens is near to what it added when all blocks last ran, what the others added then is added again
/// and they are left out. After ParaAttention's first-block cache as nunchaku has it
/// (`nunchaku/caching/utils.py`). One belongs to one branch of one picture: the branches of true CFG
/// have other tokens.
package final class StepCache {
    /// How near it has to be, as mean |difference| / mean |value|; 0 never is.
    package let threshold: Float
    /// Whether the last pass left blocks out.
    package private(set) var wasHit = false
    /// What the first block took from the tokens behind the text: (tokens, hidden).
    private var first: Tensor?
    /// What the blocks after it took from all tokens, the negative of what they added: (tokens, hidden).
    private var rest: Tensor?

    package init(threshold: Float) {
        self.threshold = threshold
    }

    /// Runs the blocks on x, or the first alone.
    ///
    /// - Parameters:
    ///   - x: The tokens, text first: (tokens, hidden).
    ///   - picture: The rows behind the text.
    ///   - compute: Where to run.
    ///   - begin: Runs the first block.
    ///   - finish: Runs the others.
    func run(
        _ x: Tensor,
        picture: Range<Int>,
        in compute: Compute,
        begin: () -> Void,
        finish: () -> Void
    ) {
        compute.withScratch {
            let added = compute.scratch(picture.count, x.columns)
            added.copy(from: x.rows(picture))
            begin()
            // what it took: the sign is the same each time
            compute.add(added, x.rows(picture), scale: -1)
            if let first, let rest,
                compute.meanDifference(added, from: first) < threshold
            {
                wasHit = true
                compute.add(x, rest, scale: -1)
                return
            }
            wasHit = false
            keep(added, in: &first)
            keep(x, in: &rest)
        }
        guard !wasHit, let rest else { return }
        finish()
        compute.add(rest, x, scale: -1)
    }

    private func keep(_ values: Tensor, in kept: inout Tensor?) {
        guard let kept else {
            kept = values.copy()
            return
        }
        kept.copy(from: values)
    }
}
