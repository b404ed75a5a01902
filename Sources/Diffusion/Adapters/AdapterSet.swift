package import Networks
package import Tensors

/// The adapters that one model is used with, opened and matched to its transformer.
///
/// DreamO's are those of the published arrangement in the model's `dreamo/` folder, with the
/// published weights, and count only when `dreamo.safetensors` is among them; without it the
/// model is plain FLUX.
package struct AdapterSet: Sendable {
    /// Every adapter, in the order in which it is added.
    package private(set) var adapters: [WeightedAdapter]
    /// The names of `adapters`: DreamO's relative to `dreamo/`, a user's as it was given.
    package private(set) var names: [String]
    /// DreamO's embedding tables, or nil for plain FLUX.
    package let embeddings: DreamOEmbeddings?
    /// Which of DreamO's versions is used, or nil for plain FLUX.
    package let version: AdapterVersion?
    /// Whether the turbo adapter is used.
    package let hasTurbo: Bool

    /// How many of the adapters are the user's own.
    private var loraCount = 0
    /// What the user should know, one line each.
    package private(set) var warnings: [String]
    private let targets: AdapterTargets

    /// Opens what a selection means for one model.
    ///
    /// - Parameters:
    ///   - folder: The model's `dreamo` folder, or nil when it has none.
    ///   - selection: What was asked for.
    ///   - configuration: The transformer's.
    /// - Throws: `AdapterError` when a file that was asked for is missing or does not fit the
    ///   model; `SafetensorsError` when one is broken.
    package init(
        folder: String?,
        selection: AdapterSelection,
        configuration: FluxConfiguration
    ) throws {
        let targets = AdapterTargets(configuration: configuration)
        let version = try Self.version(of: selection.dreamO, folder: folder)
        var adapters: [WeightedAdapter] = []
        var names: [String] = []
        var embeddings: DreamOEmbeddings?
        var hasTurbo = false
        if let version, let folder {
            for part in DreamOFile.parts(of: version, withTurbo: selection.usesTurbo) {
                let path = "\(folder)/\(part.name)"
                guard fileExists(path) else { continue }
                let file = try SafetensorsFile(path: path)
                if part == .main {
                    embeddings = try DreamOEmbeddings(file: file, configuration: configuration)
                }
                let adapter = try AdapterFile(file: file, origin: .dreamO, targets: targets)
                adapters.append(WeightedAdapter(file: adapter, strength: part.strength))
                names.append(part.name)
                hasTurbo = hasTurbo || part == .turbo
            }
        }
        self.adapters = adapters
        self.names = names
        self.embeddings = embeddings
        self.version = version
        self.hasTurbo = hasTurbo
        self.targets = targets
        warnings =
            adapters.flatMap(\.file.warnings)
            + Self.unusedFiles(of: selection.dreamO, version: version, folder: folder)
        try add(selection.loras)
    }

    /// Opens more of a user's adapters, and adds them after those that are there.
    ///
    /// - Parameter loras: The files, in their order.
    /// - Throws: As the initialiser.
    mutating func add(_ loras: [AdapterSelection.Lora]) throws {
        for lora in loras {
            guard fileExists(lora.path) else {
                throw AdapterError.missingFile(
                    path: lora.path,
                    wanted: "--lora",
                    remedy: "check the path"
                )
            }
            let file = try AdapterFile(path: lora.path, origin: .user, targets: targets)
            adapters.append(WeightedAdapter(file: file, strength: lora.strength))
            names.append(lora.name)
            warnings += file.warnings
            loraCount += 1
        }
    }

    /// One line: DreamO's version, turbo and the count of a user's adapters, or plain FLUX.
    package var summary: String {
        var text = version.map { "DreamO \($0.rawValue)" } ?? "plain FLUX"
        if hasTurbo { text += " with turbo" }
        if loraCount > 0 { text += ", \(loraCount) LoRA\(loraCount == 1 ? "" : "s")" }
        return text
    }

    /// Says that files of DreamO lie unused because the main one is not among them.
    private static func unusedFiles(
        of choice: AdapterSelection.Choice,
        version: AdapterVersion?,
        folder: String?
    ) -> [String] {
        guard let folder, version == nil, choice != .none else { return [] }
        let unused = DreamOFile.allCases.map(\.name).filter { fileExists("\(folder)/\($0)") }
        guard !unused.isEmpty else { return [] }
        return [
            "\(folder): \(unused.joined(separator: ", ")) not used, since"
                + " \(DreamOFile.main.name) is missing: add it, or choose plain FLUX by"
                + " --adapters none"
        ]
    }

    /// The users' own adapters.
    var users: ArraySlice<WeightedAdapter> { adapters.suffix(loraCount) }

    /// The base weights with DreamO's adapters added; the users' stand beside the weights.
    package func adapting(_ base: any ParameterSource, threads: Int) -> AdaptedSource {
        AdaptedSource(base: base, adapters: adapters.dropLast(loraCount), threads: threads)
    }

    /// Which version's files to use, or nil for plain FLUX.
    private static func version(
        of choice: AdapterSelection.Choice,
        folder: String?
    ) throws(AdapterError) -> AdapterVersion? {
        func isThere(_ part: DreamOFile) -> Bool {
            folder.map { fileExists("\($0)/\(part.name)") } ?? false
        }
        switch choice {
        case .none:
            return nil
        case .available:
            guard isThere(.main) else { return nil }
            return DreamOFile.own(of: .v11).contains(where: isThere) ? .v11 : .v1
        case .preferred(let version):
            return isThere(.main) ? version : nil
        case .required(let version):
            for part in [.main] + DreamOFile.own(of: version) where !isThere(part) {
                throw .missingFile(
                    path: "\(folder ?? "dreamo")/\(part.name)",
                    wanted: "--adapters \(version.rawValue)",
                    remedy: "add the file or leave the option out to use what is there"
                )
            }
            return version
        }
    }
}

/// One of the published files in a model's `dreamo` folder.
package enum DreamOFile: Sendable, Hashable, CaseIterable {
    case main, guidanceDistilled, turbo, fineTuned, preference, qualityPositive, qualityNegative

    /// The path below `dreamo/`.
    package var name: String {
        switch self {
        case .main: "dreamo.safetensors"
        case .guidanceDistilled: "dreamo_cfg_distill.safetensors"
        case .turbo: "flux_turbo.safetensors"
        case .fineTuned: "v1.1/dreamo_sft_lora.safetensors"
        case .preference: "v1.1/dreamo_dpo_lora.safetensors"
        case .qualityPositive: "dreamo_quality_lora_pos.safetensors"
        case .qualityNegative: "dreamo_quality_lora_neg.safetensors"
        }
    }

    /// The weight that the published pipeline gives it.
    package var strength: Float {
        switch self {
        case .main, .guidanceDistilled, .turbo, .fineTuned: 1
        case .preference: 1.25
        case .qualityPositive: 0.15
        case .qualityNegative: -0.8
        }
    }

    /// The files that only one version has.
    static func own(of version: AdapterVersion) -> [DreamOFile] {
        version == .v11 ? [.fineTuned, .preference] : [.qualityPositive, .qualityNegative]
    }

    /// A version's files, in the order in which they are added.
    static func parts(of version: AdapterVersion, withTurbo: Bool) -> [DreamOFile] {
        [.main, .guidanceDistilled] + (withTurbo ? [.turbo] : []) + own(of: version)
    }
}
