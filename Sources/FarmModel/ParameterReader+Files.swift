/// Values that name files: references and adapters.
extension ParameterReader {
    /// How many adapters a set may have.
    private static let mostLoras = 8

    mutating func references(
        _ value: SpecificationValue,
        _ path: String
    ) -> [ConditionSpecification]? {
        guard case .list(let elements) = value else {
            findings.refuse(path, "must be a list of references, not \(value.kind)")
            return nil
        }
        let count = findings.count
        var conditions: [(position: Int, condition: ConditionSpecification)] = []
        for (position, element) in elements.enumerated() {
            let place = "\(path)[\(position)]"
            if let condition = condition(element, position: position, place) {
                conditions.append((position, condition))
            }
        }
        var positions: [Int: Int] = [:]
        for (position, condition) in conditions {
            if let first = positions.updateValue(position, forKey: condition.slot) {
                findings.refuse(
                    "\(path)[\(position)].slot",
                    "slot \(condition.slot) is taken by reference \(first + 1); give another"
                )
            }
        }
        if conditions.count > 1, conditions.contains(where: { $0.condition.task == .style }) {
            findings.warn(path, "style beside other references is weak; give it alone")
        }
        return findings.count == count ? conditions.map(\.condition) : nil
    }

    private mutating func condition(
        _ value: SpecificationValue,
        position: Int,
        _ path: String
    ) -> ConditionSpecification? {
        let known = SpecificationKey.names(under: "parameters.references[]")
        guard let entries = mapping(value, known: known, path) else { return nil }
        if let background = entries["background"], background != .string("keep") {
            findings.refuse(
                path + ".background",
                "removing the background is not supported yet by this release; use keep"
            )
        }
        let digest = digest(entries["sha256"], path + ".sha256")
        let image = file(entries["image"], path + ".image", "name the picture's file")
        guard let written = entries["task"] else {
            findings.refuse(path + ".task", "is missing; give ip, id or style")
            return nil
        }
        let task = word(ConditionTask.self, written, path + ".task")
        let slot = integer(entries["slot"] ?? .integer(position + 1), in: 1...9, path + ".slot")
        guard let image, let task, let slot else { return nil }
        return ConditionSpecification(image: image, sha256: digest, task: task, slot: slot)
    }

    mutating func loras(
        _ value: SpecificationValue,
        _ path: String
    ) -> [LoraSpecification]? {
        guard case .list(let elements) = value else {
            findings.refuse(path, "must be a list of adapters, not \(value.kind)")
            return nil
        }
        guard elements.count <= Self.mostLoras else {
            findings.refuse(path, "has \(elements.count) adapters; give at most \(Self.mostLoras)")
            return nil
        }
        let count = findings.count
        let adapters = elements.enumerated().compactMap { position, element in
            lora(element, "\(path)[\(position)]")
        }
        return findings.count == count ? adapters : nil
    }

    private mutating func lora(_ value: SpecificationValue, _ path: String) -> LoraSpecification? {
        let known = SpecificationKey.names(under: "render.loras[]")
        guard let entries = mapping(value, known: known, path) else { return nil }
        let digest = digest(entries["sha256"], path + ".sha256")
        let file = file(entries["file"], path + ".file", "name the adapter's file")
        let weight = number(entries["weight"] ?? .integer(1), in: -16...16, path + ".weight")
        guard let file, let weight else { return nil }
        return LoraSpecification(file: file, sha256: digest, weight: weight)
    }

    private mutating func file(
        _ value: SpecificationValue?,
        _ path: String,
        _ remedy: String
    ) -> String? {
        guard let value, value != .string("") else {
            findings.refuse(path, "is missing; \(remedy)")
            return nil
        }
        return text(value, path)
    }

    private mutating func digest(_ value: SpecificationValue?, _ path: String) -> BlobDigest? {
        guard let value else { return nil }
        if case .string(let text) = value, let digest = BlobDigest(rawValue: text) {
            return digest
        }
        findings.refuse(path, "must be 64 hexadecimal digits")
        return nil
    }
}
