import Networks
package import Tensors

/// A member of a group that is not its leader: it holds its part of the transformer and of T5, and
/// computes what the leader says.
///
/// The weights stay from one connection to the next. Nothing here is synchronised: one thread reads,
/// then follows.
package final class RenderFollower {
    private let compute: Compute
    private let trunk: FluxTrunk
    private let t5: T5Stack?
    private let branches = BranchTable()
    /// What pictures share that are equal to the last bit: those of groups whose ranks all say this.
    package let numericClass: Provenance.NumericClass
    /// Denoising steps of which a part was computed here.
    package private(set) var steps = 0

    /// A branch of the picture that is being denoised.
    private final class Branch {
        let context: FluxTrunk.Context
        let cache: StepCache?
        var modulation: FluxBlockStack.Modulation?

        init(_ context: FluxTrunk.Context, _ cache: StepCache?) {
            self.context = context
            self.cache = cache
        }
    }

    /// Reads the part of a rank.
    ///
    /// - Parameters:
    ///   - model: The model.
    ///   - selection: The adapters to use.
    ///   - precision: What the networks' products are computed in; nil for what the model is packed
    ///     in, else the fastest of this processor.
    ///   - shard: The rank.
    ///   - compute: Where to run.
    ///   - log: Receives a line when something long begins.
    /// - Throws: An error for what is missing or broken, and ``GroupError/tooManyRanks``.
    package init(
        model: ModelDirectory,
        selection: AdapterSelection,
        precision: Precision?,
        shard: Shard,
        compute: Compute,
        log: (String) -> Void = { _ in }
    ) throws {
        self.compute = compute
        let precision = precision ?? model.packed?.precision ?? .fastest
        numericClass = RenderPipeline.numericClass(
            precision,
            compute,
            model,
            ranks: shard.size
        )
        let flux = model.transformer.configuration
        try flux.check(ranks: shard.size)
        let adapters = try AdapterSet(
            folder: model.adaptersFolder ?? "\(model.path)/dreamo",
            selection: selection,
            configuration: flux
        )
        log("reading part \(shard.rank + 1) of \(shard.size) of the transformer")
        let plain = model.transformer.source
        let adapted =
            model.packed == nil ? adapters.adapting(plain, threads: compute.threads) : nil
        trunk = try FluxTrunk(
            flux,
            from: LayerReader(
                adapted ?? plain,
                precision: precision,
                threads: compute.threads,
                branches: branches,
                shard: shard
            )
        )
        try adapted?.requireAllUsed(among: FluxTrunk.has)
        let text = model.textEncoder2
        guard T5Stack.splits(text.configuration, over: shard.size) else {
            t5 = nil
            return
        }
        log("reading part \(shard.rank + 1) of \(shard.size) of T5")
        t5 = try T5Stack(
            text.configuration,
            from: LayerReader(
                text.source,
                precision: precision,
                threads: compute.threads,
                shard: shard
            )
        )
    }

    /// Computes what the leader says, until the connection ends.
    ///
    /// - Parameters:
    ///   - channel: The connection.
    ///   - onStep: Called after each step.
    /// - Throws: What ended the connection.
    package func follow(_ channel: any GroupChannel, onStep: () -> Void = {}) throws {
        compute.reduction = channel
        defer { compute.reduction = nil }
        branches.removeAll()
        var open: [Int: Branch] = [:]
        func branch(_ number: Int) throws(GroupError) -> Branch {
            guard let branch = open[number] else { throw .unreadable }
            return branch
        }
        while true {
            let message = try GroupMessage(try channel.receive())
            switch message {
            case .open(let number, let conditions, let stepCache):
                open[number] = Branch(
                    trunk.context(conditions, in: compute),
                    stepCache > 0 ? StepCache(threshold: stepCache) : nil
                )
            case .modulate(let number, let temb):
                let branch = try branch(number)
                branch.modulation = nil
                let vec = FluxTrunk.vec(temb, in: compute)
                branch.modulation = trunk.modulation(vec, in: compute)
            case .step(let number, let step, let latents):
                let branch = try branch(number)
                guard let modulation = branch.modulation else { throw GroupError.unreadable }
                compute.withScratch {
                    let x = compute.scratch(
                        trunk.tokens(latents, branch.context),
                        trunk.configuration.hidden
                    )
                    trunk(
                        x,
                        latents: latents,
                        modulation: modulation,
                        step: step,
                        context: branch.context,
                        in: compute,
                        cache: branch.cache
                    )
                }
                steps += 1
                onStep()
            case .close(let number): open[number] = nil
            case .text(let rows): t5?(rows, in: compute)
            case .clearAdapters: branches.removeAll()
            case .adapter(let branch):
                if FluxTrunk.has(branch.module) { try branches.add(branch) }
            }
            if let failure = channel.failure { throw failure }
        }
    }
}

extension FluxConfiguration {
    /// Checks that each rank of a group has heads.
    ///
    /// - Throws: ``GroupError/tooManyRanks``.
    func check(ranks: Int) throws(GroupError) {
        guard ranks <= numAttentionHeads else {
            throw .tooManyRanks(ranks: ranks, heads: numAttentionHeads)
        }
    }
}
