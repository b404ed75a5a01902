import Networks
import Tensors

/// A user's pair, read and ready to stand beside a layer's weight.
struct SideBranch {
    let module: String
    /// The first matrix: (rank, inputs).
    let down: Tensor
    /// The second matrix, with alpha and strength in it: (outputs of the pair, rank).
    let up: Tensor
    /// The first of the module's outputs that it adds to.
    let firstOutput: Int
}

extension AdapterSet {
    /// The users' adapters as branches, in their order.
    ///
    /// - Throws: `AdapterError.broken` for a file that cannot be read.
    func sideBranches() throws(AdapterError) -> [SideBranch] {
        do {
            return try users.flatMap { adapter in
                try adapter.file.pairs.map { pair in
                    let (down, up) = try adapter.file.matrices(of: pair, strength: adapter.strength)
                    return SideBranch(
                        module: pair.module,
                        down: down,
                        up: up,
                        firstOutput: pair.targetRows.lowerBound
                    )
                }
            }
        } catch let error as SafetensorsError {
            throw .broken(problem: error.description)
        } catch let error as AdapterError {
            throw error
        } catch {
            throw .broken(problem: "\(error)")
        }
    }
}

extension RenderPipeline {
    /// Brings a request's own adapters beside the transformer's weights, and takes those of the
    /// last one away; the weights stay as they are.
    ///
    /// - Parameter loras: The adapters, after the model's own.
    /// - Throws: `AdapterError` for one that cannot be used; the pipeline is as it was then.
    func use(_ loras: [AdapterSelection.Lora]) throws {
        guard loras != self.loras else { return }
        let own = ownAdapters.adapters.count
        var wanted = ownAdapters
        let added: [AdapterListing]
        do {
            try wanted.add(loras)
            added = try wanted.listing(after: own)
        } catch let error as SafetensorsError {
            throw AdapterError.broken(problem: error.description)
        }
        for line in wanted.warnings.dropFirst(ownAdapters.warnings.count) {
            log("warning: \(line)")
        }
        if transformer != nil {
            try setBranches(of: wanted)
        }
        adapters = wanted
        listing = ownListing + added
        self.loras = loras
    }

    /// Puts the users' adapters of a set in the place of those that stand beside the weights.
    func setBranches(of adapters: AdapterSet) throws(AdapterError) {
        let wanted = try adapters.sideBranches()
        let missing = Set(wanted.map(\.module)).filter { !branches.contains($0) }
        guard missing.isEmpty else { throw .unusedTargets(modules: missing.sorted()) }
        branches.removeAll()
        lead?.tell(.clearAdapters)
        for branch in wanted {
            try branches.add(branch)
            if FluxTrunk.has(branch.module) { lead?.tell(.adapter(branch)) }
        }
    }
}

extension BranchTable {
    /// Adds a branch to its layer.
    ///
    /// - Throws: `AdapterError.unusedTargets` for a module that the network does not have.
    func add(_ branch: SideBranch) throws(AdapterError) {
        guard contains(branch.module) else { throw .unusedTargets(modules: [branch.module]) }
        add(
            branch.module,
            down: branch.down,
            up: branch.up,
            firstOutput: branch.firstOutput
        )
    }
}
