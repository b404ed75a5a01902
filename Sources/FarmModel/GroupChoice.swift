/// When work is better done by a group than by its members one by one.
package enum GroupChoice {
    /// What work asks for.
    package struct Work: Hashable, Sendable {
        /// What a job asks for; 1 is no wish.
        package var wantedRanks = 1
        /// What one picture takes alone, in seconds; nil where that is not known.
        package var secondsAlone: Double?
        /// What one picture takes in a group of so many ranks, in seconds.
        package var secondsInGroup: [Int: Double] = [:]
        /// By when it has to be done, in seconds from now; nil for no such moment.
        package var deadlineSeconds: Double?

        package init() {}
    }

    /// How many workers are to render a picture together.
    ///
    /// N workers alone make more pictures than a group of N, since nothing goes between them; so a
    /// group is for work that asks for one, that fits into no worker, or that is late without one.
    ///
    /// - Parameters:
    ///   - work: What is asked for.
    ///   - memory: What the model takes; nil where that is not known: it fits.
    ///   - free: The memory of the workers that could take part, in bytes; 0 is not known: enough.
    /// - Returns: 1 for workers alone; nil where no number of them can hold the model, or it cannot
    ///   be split so far.
    package static func ranks(
        for work: Work,
        memory: ModelMemory?,
        free: [Int64]
    ) -> Int? {
        guard work.wantedRanks == 1 else {
            return memory?.splits(into: work.wantedRanks) ?? true ? work.wantedRanks : nil
        }
        guard let least = smallestGroup(holding: memory, free: free) else { return nil }
        guard least == 1, let deadline = work.deadlineSeconds, let alone = work.secondsAlone,
            alone > deadline
        else { return least }
        let possible = work.secondsInGroup.filter { $0.key <= free.count && $0.value < alone }
        let timely = possible.filter { $0.value <= deadline }.keys.min()
        return timely ?? possible.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key ?? 1
    }

    /// The least number of workers, from `least` on, that hold a model together; nil where all of
    /// them do not.
    package static func smallestGroup(
        of least: Int = 1,
        holding memory: ModelMemory?,
        free: [Int64]
    ) -> Int? {
        guard let memory else { return least }
        let most = min(free.count, memory.mostRanks ?? free.count)
        guard most >= least else { return nil }
        return (least...most).first { ranks in
            free.count { $0 == 0 || memory.needed(ranks: ranks) <= $0 } >= ranks
        }
    }
}

extension CostModel {
    /// What the network between two ranks of a group gives, as measured.
    package struct Link: Hashable, Sendable {
        /// How long a small message takes, in seconds.
        package var latency: Double
        package var bytesPerSecond: Double

        package init(latency: Double, bytesPerSecond: Double) {
            self.latency = latency
            self.bytesPerSecond = bytesPerSecond
        }
    }
}
