import Tensors

/// What of a render a checkpoint must agree with.
package enum CheckpointPart: String, Sendable, CaseIterable {
    /// Model and adapters.
    case model
    /// Engine, kernels and precision.
    case numericClass
    /// Prompt, settings, seed and references.
    case request
    /// The noise levels.
    case schedule
    /// What the prompts and references were encoded to.
    case conditions
    /// How many latent values there are.
    case latents
}

/// Why a checkpoint cannot be gone on from.
package enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// The bytes are something else.
    case notACheckpoint
    /// The bytes are of a version that is not known here.
    case version(String)
    /// The bytes end early.
    case truncated
    /// Something in the bytes was changed.
    case damaged
    /// It was made by a render that differs in a part.
    case mismatch(CheckpointPart)
    /// Its step is none of the render's.
    case step(Int, of: Int)

    package var description: String {
        switch self {
        case .notACheckpoint: "these bytes are no checkpoint; " + Self.remedy
        case .version(let version):
            "the checkpoint has the unknown version '\(version)'; " + Self.remedy
        case .truncated: "the checkpoint is truncated; " + Self.remedy
        case .damaged: "the checkpoint is damaged: its digest does not fit; " + Self.remedy
        case .mismatch(let part):
            switch part {
            case .model: "the checkpoint is of another model or other adapters; " + Self.remedy
            case .numericClass: "the checkpoint is of another numeric class; " + Self.remedy
            case .request: "the checkpoint is of another picture; " + Self.remedy
            case .schedule: "the checkpoint has other noise levels; " + Self.remedy
            case .conditions: "the checkpoint has other conditions; " + Self.remedy
            case .latents: "the checkpoint's latents have another size; " + Self.remedy
            }
        case .step(let step, let steps):
            "the checkpoint is after step \(step) of \(steps), which does not exist; "
                + Self.remedy
        }
    }

    private static let remedy = "render from the first step"

    init(_ error: SealError) {
        switch error {
        case .otherKind: self = .notACheckpoint
        case .version(let version): self = .version(version)
        case .truncated: self = .truncated
        case .damaged: self = .damaged
        }
    }
}

/// What determines the latents of a render after each step, part by part, as digests.
struct RenderFingerprint: Sendable, Equatable {
    let model: String
    let numericClass: String
    let request: String
    let schedule: String
    let conditions: String

    /// The first part in which two differ, or nil.
    func difference(from other: RenderFingerprint) -> CheckpointPart? {
        if model != other.model { return .model }
        if numericClass != other.numericClass { return .numericClass }
        if request != other.request { return .request }
        if schedule != other.schedule { return .schedule }
        return conditions == other.conditions ? nil : .conditions
    }
}

/// A render between two steps: what is needed to go on elsewhere in the numeric class.
///
/// A render that goes on from it gives the same bytes as one that was never interrupted.
package struct RenderCheckpoint: Sendable {
    /// How many steps are done.
    package let step: Int
    /// How many steps there are.
    package let steps: Int
    let fingerprint: RenderFingerprint
    /// The output tokens after the step: (tokens, channels).
    let latents: Tensor
    /// Of each branch the step that was computed last, where steps are cached: the main one's, then
    /// the plain one's.
    let computed: [ComputedStep?]

    private static let kind = "checkpoint"

    init(
        step: Int,
        steps: Int,
        fingerprint: RenderFingerprint,
        latents: Tensor,
        computed: [ComputedStep?] = []
    ) {
        self.step = step
        self.steps = steps
        self.fingerprint = fingerprint
        self.latents = latents
        self.computed = computed
    }

    /// What the fields and tensors of a branch's last computed step are called.
    private static let branches = ["main", "plain"]

    /// Opens the bytes of a checkpoint.
    ///
    /// - Parameter bytes: What `bytes()` made.
    /// - Throws: `CheckpointError` when they are something else, damaged or incomplete.
    package init(bytes: [UInt8]) throws(CheckpointError) {
        let sealed: SealedTensors
        do {
            sealed = try SealedTensors(bytes, kind: Self.kind)
        } catch {
            throw CheckpointError(error)
        }
        let fields = sealed.fields
        guard let step = fields["step"].flatMap({ Int($0) }),
            let steps = fields["steps"].flatMap({ Int($0) }),
            let model = fields["model"], let numericClass = fields["numericClass"],
            let request = fields["request"], let schedule = fields["schedule"],
            let conditions = fields["conditions"], let latents = sealed.tensors["latents"]
        else { throw .notACheckpoint }
        self.init(
            step: step,
            steps: steps,
            fingerprint: RenderFingerprint(
                model: model,
                numericClass: numericClass,
                request: request,
                schedule: schedule,
                conditions: conditions
            ),
            latents: latents,
            computed: Self.branches.map { branch in
                guard let step = fields[branch].flatMap({ Int($0) }),
                    let latents = sealed.tensors[branch]
                else { return nil }
                return ComputedStep(step: step, latents: latents)
            }
        )
    }

    /// The checkpoint as sealed bytes: the latents as float32, where steps are cached those of a
    /// branch's last computed step, and less than 2 KiB more.
    ///
    /// - Throws: What encoding the header throws.
    package func bytes() throws -> [UInt8] {
        var fields = [
            "step": "\(step)", "steps": "\(steps)", "model": fingerprint.model,
            "numericClass": fingerprint.numericClass, "request": fingerprint.request,
            "schedule": fingerprint.schedule, "conditions": fingerprint.conditions,
        ]
        var tensors = ["latents": latents]
        for (branch, computed) in zip(Self.branches, computed) {
            guard let computed else { continue }
            fields[branch] = "\(computed.step)"
            tensors[branch] = computed.latents
        }
        return try SealedTensors(kind: Self.kind, fields: fields, tensors: tensors).bytes()
    }

    /// Checks that a render may go on from here.
    ///
    /// - Parameters:
    ///   - wanted: The fingerprint of the render.
    ///   - steps: How many steps it has.
    ///   - rows: Its output tokens.
    ///   - columns: Their channels.
    /// - Throws: `CheckpointError` for the first part that differs.
    func check(
        _ wanted: RenderFingerprint,
        steps: Int,
        rows: Int,
        columns: Int
    ) throws(CheckpointError) {
        if let part = fingerprint.difference(from: wanted) { throw .mismatch(part) }
        guard self.steps == steps, (1...steps).contains(step) else {
            throw .step(step, of: steps)
        }
        for computed in computed.compactMap(\.self) {
            guard (0..<step).contains(computed.step) else { throw .step(computed.step, of: step) }
        }
        for latents in [latents] + computed.compactMap(\.?.latents) {
            guard latents.rows == rows, latents.columns == columns else {
                throw .mismatch(.latents)
            }
        }
    }
}
