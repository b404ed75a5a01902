import FoundationEssentials
import GoldenSupport
import Tensors

@testable import Diffusion

/// A golden folder's `task.json`, as far as the committed tasks go.
private struct GoldenTask: Decodable {
    struct Reference: Decodable {
        let image: String
        let task: Condition.Task
        let index: Int
    }

    let prompt: String
    let width: Int
    let height: Int
    let steps: Int
    let guidance: Float?
    let seed: UInt64
    let first_step_guidance: Float?
    let negative_prompt: String?
    let neg_guidance: Float?
    let true_cfg: Float?
    let cfg_start: Int?
    let cfg_end: Int?
    let turbo: Bool?
    let version: String?
    let conditions: [Reference]?
    let posterior: Posterior?
}

extension Golden {
    /// The picture that the folder's task asks for.
    func request() throws -> RenderRequest {
        let task = try decode(GoldenTask.self, "task.json")
        var request = RenderRequest(
            prompt: task.prompt,
            width: task.width,
            height: task.height,
            steps: task.steps,
            guidance: task.guidance ?? 3.5,
            seed: task.seed,
            refRes: 512
        )
        request.firstStepGuidance = task.first_step_guidance ?? 0
        request.negativePrompt = task.negative_prompt ?? ""
        request.trueCFG = TrueCFG(
            scale: task.true_cfg ?? 1,
            start: task.cfg_start ?? 0,
            end: task.cfg_end ?? 0,
            guidance: task.neg_guidance ?? 3.5
        )
        request.posterior = task.posterior ?? .mode
        request.prepare = .none
        request.conditions = try (task.conditions ?? []).map {
            try Condition(path: "\(folder)/\($0.image)", task: $0.task, slot: $0.index)
        }
        try request.validate()
        return request
    }

    /// The adapters that the folder's task asks for.
    func selection() throws -> AdapterSelection {
        let task = try decode(GoldenTask.self, "task.json")
        return AdapterSelection(
            dreamO: .preferred(task.version == "v1" ? .v1 : .v11),
            usesTurbo: task.turbo ?? true
        )
    }

    /// A pipeline of the model, or of the same model elsewhere.
    func pipeline(
        of directory: ModelDirectory? = nil,
        digest: ModelDigest? = nil,
        in compute: Compute = Compute(threads: 2),
        precision: Precision = .float32
    ) async throws -> RenderPipeline {
        let directory = try directory ?? ModelDirectory(path: model)
        let known: ModelDigest
        if let digest { known = digest } else { known = try await directory.baseDigest(threads: 1) }
        return try RenderPipeline(
            model: directory,
            digest: known,
            selection: selection(),
            precision: precision,
            compute: compute
        )
    }
}

/// A folder of one test, removed with the value.
final class GoldenFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/golden-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}
