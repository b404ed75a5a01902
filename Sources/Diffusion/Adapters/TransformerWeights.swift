import Synchronization
import Tensors

/// Remembers where a transformer's matrices were read to, so that some can be read again when the
/// adapters in them change.
final class TransformerWeights: ParameterSource {
    /// Where a matrix is.
    private struct Place: @unchecked Sendable {
        let shape: [Int]
        // The memory is the transformer's, which its pipeline changes between renders only.
        let values: UnsafeMutableBufferPointer<Float>
    }

    private let source: any ParameterSource
    private let places = Mutex<[String: Place]>([:])

    /// Wraps the source that a transformer is read from.
    init(_ source: any ParameterSource) {
        self.source = source
    }

    func shape(of name: String) -> [Int]? { source.shape(of: name) }

    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try source.read(name, shape: shape, into: destination)
        guard shape.count == 2 else { return }
        let place = Place(shape: shape, values: destination)
        places.withLock { $0[name] = place }
    }

    /// Reads some matrices again, in place; the transformer that they were read for must live.
    ///
    /// - Parameters:
    ///   - modules: Names without `.weight`.
    ///   - source: Where to read them from.
    /// - Throws: `AdapterError.unusedTargets` for a module that the transformer lacks, and what
    ///   the source throws; then some are read and some are not.
    func reread(_ modules: some Sequence<String>, from source: any ParameterSource) throws {
        let places = places.withLock { $0 }
        let missing = modules.filter { places["\($0).weight"] == nil }
        guard missing.isEmpty else { throw AdapterError.unusedTargets(modules: missing.sorted()) }
        for module in modules.sorted() {
            let name = "\(module).weight"
            if let place = places[name] {
                try source.read(name, shape: place.shape, into: place.values)
            }
        }
    }
}

extension RenderPipeline {
    /// Brings a request's own adapters into the transformer, and takes those of the last one out.
    ///
    /// Weights that either set changes are read again from the model's files and merged anew, in
    /// the order in which a pipeline of its own merges them: to the last bit, nothing stays of the
    /// last request's.
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
        if transformer != nil, let weights {
            let changed = (adapters.adapters.dropFirst(own) + wanted.adapters.dropFirst(own))
                .flatMap { $0.file.pairs.map(\.module) }
            try merge(wanted, into: weights, modules: Set(changed))
        }
        adapters = wanted
        listing = ownListing + added
        self.loras = loras
    }

    private func merge(
        _ wanted: AdapterSet,
        into weights: TransformerWeights,
        modules: Set<String>
    ) throws {
        func reread(_ set: AdapterSet) throws {
            let source = set.adapting(model.transformer.source, threads: compute.threads)
            try weights.reread(modules, from: source)
        }
        log("merging \(wanted.summary) into \(modules.count) weights")
        do {
            try reread(wanted)
        } catch {
            do {
                try reread(adapters)
            } catch {
                // whatever is in the weights now, the next render reads them all
                (transformer, self.weights) = (nil, nil)
            }
            if let error = error as? SafetensorsError,
                wanted.adapters.contains(where: { $0.file.path == error.file })
            {
                throw AdapterError.broken(problem: error.description)
            }
            throw error
        }
    }
}
