package import FoundationEssentials

/// That a picture is for a group, although a worker alone could make it: it would be late.
package struct GroupDecision: Hashable, Sendable {
    /// How many workers render it together.
    package var ranks: Int
    /// What it takes in that group, in seconds.
    package var seconds: Double
    /// As `alone a picture takes 100 s, in a group of 4 40 s, wanted by 2026-12-01T20:00:00Z`.
    package var reason: String

    /// Decides about a picture that is wanted by a moment; nil where workers alone are to make it.
    ///
    /// - Parameters:
    ///   - secondsAlone: What it takes alone.
    ///   - secondsInGroup: What it takes in a group of so many ranks.
    ///   - moment: By when it is wanted.
    ///   - now: The moment of the decision.
    ///   - workers: How many workers could take part.
    package init?(
        secondsAlone: Double,
        secondsInGroup: [Int: Double],
        wantedBy moment: Date,
        now: Date,
        workers: Int
    ) {
        var work = GroupChoice.Work()
        work.secondsAlone = secondsAlone
        work.secondsInGroup = secondsInGroup
        work.deadlineSeconds = moment.timeIntervalSince(now)
        // That a worker alone holds the model is known: one has told its speed.
        let free = [Int64](repeating: 0, count: workers)
        guard let ranks = GroupChoice.ranks(for: work, memory: nil, free: free),
            let seconds = secondsInGroup[ranks]
        else { return nil }
        self.ranks = ranks
        self.seconds = seconds
        reason =
            "alone a picture takes \(Self.words(secondsAlone)), in a group of \(ranks) "
            + "\(Self.words(seconds)), wanted by \(moment.formatted(Date.ISO8601FormatStyle()))"
    }

    /// Whole seconds, with one digit after the point below ten.
    private static func words(_ seconds: Double) -> String {
        guard seconds < 1e9 else { return "more than 1000000000 s" }
        let tenths = Int((seconds * 10).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) s" : "\((tenths + 5) / 10) s"
    }
}

extension CostModel.Link {
    /// What a network is taken to give where no group has measured it: a gigabit network's
    /// bandwidth, less what goes beside, and a latency that leaves room for a busy machine.
    package static let assumed = CostModel.Link(latency: 1e-3, bytesPerSecond: 100e6)
}

extension CostModel {
    /// What a picture takes in a group, in seconds: its forwards by all ranks, as ``GroupStep``
    /// predicts them, the rest by one.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - ranks: The group's size.
    ///   - flopsPerSecond: The speed of one rank.
    ///   - link: What the network gives.
    ///   - precision: What the ranks compute in: sums go between them in float32 where it is that,
    ///     else in bfloat16.
    /// - Returns: The time of one picture; nil where the sizes of the model's blocks are not known.
    package func groupSeconds(
        of image: ImageCost,
        ranks: Int,
        flopsPerSecond: Double,
        link: Link,
        precision: String
    ) -> Double? {
        guard let blocks = constants.blocks else { return nil }
        func forwards(_ count: Int, of tokens: Int) -> Double {
            let step = GroupStep(
                ranks: ranks,
                blocks: blocks,
                tokens: tokens,
                textTokens: min(image.textTokens, tokens),
                bytesPerValue: precision == "float32" ? 4 : 2,
                roundTrip: 2 * link.latency,
                bytesPerSecond: link.bytesPerSecond
            )
            let gathered = (count + GroupStep.gatheredSteps - 1) / GroupStep.gatheredSteps
            return Double(count) * step.seconds(alone: forward(tokens: tokens) / flopsPerSecond)
                + Double(gathered) * step.gatherSeconds
        }
        let rest = image.flops - image.stepFlops * Double(image.steps)
        return forwards(image.steps, of: image.tokens)
            + forwards(image.guidedSteps, of: image.plainTokens) + rest / flopsPerSecond
    }
}
