import Imaging
import Tensors

#if canImport(FoundationEssentials)
import FoundationEssentials
#endif

/// What determines a picture, and only that: written into its PNG.
///
/// Equal pictures from equal causes are equal files, whoever rendered them.
struct Provenance: Encodable {
    /// What pictures must share to be equal to the last bit.
    struct NumericClass: Encodable, Equatable, CustomStringConvertible {
        let engine: String
        let kernels: String
        let precision: String

        /// The three in one word.
        var description: String { "\(engine)/\(kernels)/\(precision)" }
    }

    struct Reference: Encodable {
        let digest: String
        let slot: Int
        let task: Condition.Task
    }

    struct Adapter: Encodable {
        let digest: String
        let name: String
        let weight: Float
    }

    struct Settings: Encodable {
        let firstStepGuidance: Float
        let guidance: Float
        let height: Int
        let maxTextTokens: Int?
        let noise: NoisePrecision
        let posterior: Posterior
        let prepare: Preparation
        let refRes: Int
        let steps: Int
        let trueCFG: [Float]?
        let width: Int
    }

    let adapters: [Adapter]
    let model: String
    let negativePrompt: String?
    let numericClass: NumericClass
    let prompt: String
    let references: [Reference]
    let seed: UInt64
    let settings: Settings

    /// The keyword of the text chunk.
    static let keyword = "dreamfarm"

    init(_ request: RenderRequest, pipeline: RenderPipeline) throws {
        adapters = pipeline.listing.map {
            Adapter(digest: $0.digest, name: $0.baseName, weight: $0.strength)
        }
        model = pipeline.modelDigest.description
        negativePrompt = request.usesTrueCFG ? request.negativePrompt : nil
        numericClass = RenderPipeline.numericClass
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
    static let numericClass = Provenance.NumericClass(
        engine: engineVersion,
        kernels: Compute.kernelFamily,
        precision: "float32"
    )

    /// Counts up when a change of the engine changes bytes of pictures.
    private static let engineVersion = "1"
}

extension AdapterListing {
    /// The file's name without its folder: where a user keeps it does not change the picture.
    fileprivate var baseName: String {
        name.split(separator: "/").last.map(String.init) ?? name
    }
}
