import FoundationEssentials
import Imaging
package import Tensors

/// What determines a picture, and only that: written into its PNG.
///
/// Equal pictures from equal causes are equal files, whoever rendered them.
package struct Provenance: Codable, Sendable, Equatable {
    /// What pictures must share to be equal to the last bit.
    package struct NumericClass: Codable, Sendable, Equatable, CustomStringConvertible {
        /// The engine's number.
        package let engine: String
        /// The kernel family.
        package let kernels: String
        package let precision: String
        /// How a group splits the model, as `tp2`; nil for a worker alone.
        package var group: String?

        /// How many workers render together; nil where the word for it is not one of this engine's.
        package var ranks: Int? {
            guard let group else { return 1 }
            guard group.hasPrefix("tp") else { return nil }
            return Int(group.dropFirst(2).prefix { $0 != "-" })
        }

        /// All in one word.
        package var description: String {
            "\(engine)/\(kernels)/\(precision)" + (group.map { "/\($0)" } ?? "")
        }
    }

    /// A reference, known by its file's digest.
    package struct Reference: Codable, Sendable, Equatable {
        package let digest: String
        package let slot: Int
        package let task: Condition.Task
    }

    /// An adapter, known by its file's digest.
    package struct Adapter: Codable, Sendable, Equatable {
        package let digest: String
        /// The file's name without its folder.
        package let name: String
        package let weight: Float
    }

    /// The numbers of a request.
    package struct Settings: Codable, Sendable, Equatable {
        package let firstStepGuidance: Float
        package let guidance: Float
        package let height: Int
        package let maxTextTokens: Int?
        package let noise: NoisePrecision
        package let posterior: Posterior
        package let prepare: Preparation
        package let refRes: Int
        /// The threshold of the step cache; nil where every step is computed.
        package let stepCache: Float?
        package let steps: Int
        /// Scale, first step, first step without, and guidance; nil where no step has it.
        package let trueCFG: [Float]?
        package let width: Int
    }

    /// The adapters in the order in which they were added.
    package let adapters: [Adapter]
    /// The digest of the base model.
    package let model: String
    /// The prompt of true CFG's plain branch; nil where no step has it.
    package let negativePrompt: String?
    package let numericClass: NumericClass
    package let prompt: String
    /// The references in sequence order.
    package let references: [Reference]
    package let seed: UInt64
    package let settings: Settings

    /// The keyword of the text chunk.
    static let keyword = "dreamfarm"

    init(_ request: RenderRequest, pipeline: RenderPipeline) {
        adapters = pipeline.listing.map {
            Adapter(digest: $0.digest, name: $0.baseName, weight: $0.strength)
        }
        model = pipeline.modelDigest.description
        negativePrompt = request.usesTrueCFG ? request.negativePrompt : nil
        numericClass = pipeline.numericClass
        prompt = request.prompt
        references = request.conditions.map {
            Reference(digest: $0.digest, slot: $0.slot, task: $0.task)
        }
        seed = request.seed
        let cfg = request.trueCFG
        settings = Settings(
            firstStepGuidance: request.guidance(step: 0),
            guidance: request.guidance,
            height: request.height,
            maxTextTokens: request.maxTextTokens,
            noise: request.noise,
            posterior: request.posterior,
            prepare: request.prepare,
            refRes: request.refRes,
            stepCache: request.stepCache > 0 ? request.stepCache : nil,
            steps: request.steps,
            trueCFG: request.usesTrueCFG
                ? [cfg.scale, Float(cfg.start), Float(cfg.end), cfg.guidance] : nil,
            width: request.width
        )
    }

    /// The text chunk: one line of JSON with sorted keys.
    var chunk: PNGText {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let text = String(decoding: try encoder.encode(self), as: UTF8.self)
            return PNGText(keyword: Provenance.keyword, text: text)
        }
    }
}

extension RenderPipeline {
    /// What pictures of this pipeline share with those that are equal to the last bit.
    package var numericClass: Provenance.NumericClass {
        Self.numericClass(precision, compute, model, ranks: shard.size)
    }

    /// What the group's part of the class is called; nil alone.
    ///
    /// A part of a weight in bytes that is packed by itself has scales of its own: a model that was
    /// packed whole gives other pictures than the same one packed part by part.
    private static func groupClass(_ model: ModelDirectory, ranks: Int) -> String? {
        guard ranks > 1 else { return nil }
        let isCut = model.packed.map { $0.precision.operand == .int8 } ?? false
        return "tp\(ranks)" + (isCut ? "-packed" : "")
    }

    /// The class of pictures that so many ranks make with a model.
    static func numericClass(
        _ precision: Precision,
        _ compute: Compute,
        _ model: ModelDirectory,
        ranks: Int
    ) -> Provenance.NumericClass {
        numericClass(precision, compute, groupClass(model, ranks: ranks))
    }

    /// The class of pictures in a precision on a compute.
    ///
    /// - Parameters:
    ///   - precision: What products are computed in.
    ///   - compute: Where.
    ///   - group: How a group splits the model; nil for a worker alone.
    /// - Returns: The class.
    package static func numericClass(
        _ precision: Precision,
        _ compute: Compute,
        _ group: String? = nil
    ) -> Provenance.NumericClass {
        Provenance.NumericClass(
            engine: engineVersion,
            kernels: compute.kernelFamily,
            precision: precision.rawValue,
            group: group
        )
    }

    /// Counts up when a change of the engine changes bytes of pictures.
    private static let engineVersion = "3"
}

extension AdapterListing {
    /// The file's name without its folder: where a user keeps it does not change the picture.
    fileprivate var baseName: String {
        name.split(separator: "/").last.map(String.init) ?? name
    }
}
