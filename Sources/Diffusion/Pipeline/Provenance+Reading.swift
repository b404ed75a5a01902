import FoundationEssentials
package import Imaging

/// Why a file does not say what determines its picture.
package enum ProvenanceError: Error, Equatable, CustomStringConvertible {
    /// The file is no PNG, or a broken one.
    case picture(ImageError)
    /// The file is a PNG without dreamfarm's text.
    case absent(name: String)
    /// The file has a text of dreamfarm's that cannot be understood.
    case unreadable(name: String, reason: String)
    /// A file that was given for a reference or an adapter is another one.
    case otherFile(path: String, found: String, wanted: String)

    package var description: String {
        switch self {
        case .picture(let error): error.description
        case .absent(let name):
            "\(shown(name)) does not say how it was made: it is no picture of dreamfarm, or a"
                + " program that saved it again took the text away; use the file as delivered"
        case .unreadable(let name, let reason):
            "\(shown(name)) says how it was made in a way that is not understood (\(reason));"
                + " use the file as delivered, and a dreamfarm as new as the one that made it"
        case .otherFile(let path, let found, let wanted):
            "\(shown(path)) has the digest \(found), the picture was made with \(wanted); give"
                + " that file"
        }
    }
}

extension Provenance {
    /// Reads what a picture's file says.
    ///
    /// - Parameter path: A PNG file.
    /// - Throws: `ProvenanceError`.
    package init(path: String) throws(ProvenanceError) {
        let bytes: [UInt8]
        do {
            bytes = try ImageDecoder().bytes(ofFile: path)
        } catch {
            throw .picture(error)
        }
        try self.init(reading: bytes, name: path)
    }

    /// Reads what the bytes of a picture's file say.
    ///
    /// - Parameters:
    ///   - png: The bytes of a PNG file.
    ///   - name: What errors call it.
    /// - Throws: `ProvenanceError`.
    package init(reading png: [UInt8], name: String) throws(ProvenanceError) {
        let texts: [PNGText]
        do {
            texts = try PNGText.read(png, name: name).filter { $0.keyword == Self.keyword }
        } catch {
            throw .picture(error)
        }
        guard let text = texts.first?.text else { throw .absent(name: name) }
        guard texts.count == 1 else {
            throw .unreadable(name: name, reason: "it says so \(texts.count) times")
        }
        do {
            self = try JSONDecoder().decode(Provenance.self, from: Data(text.utf8))
        } catch {
            throw .unreadable(name: name, reason: Self.reason(error))
        }
        guard settings.trueCFG.map({ Self.isWindow($0) }) ?? true else {
            throw .unreadable(name: name, reason: "trueCFG has wrong values")
        }
    }

    /// Whether four numbers are a scale, a range of steps, and a guidance.
    private static func isWindow(_ values: [Float]) -> Bool {
        values.count == 4
            && values[1...2].allSatisfy { Int(exactly: $0) != nil }
    }

    private static func reason(_ error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            return "no key \(place(context.codingPath + [key]))"
        case DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context):
            return "a wrong value at \(place(context.codingPath))"
        case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty:
            return "an unknown value at \(place(context.codingPath))"
        case DecodingError.dataCorrupted(let context):
            return shown(context.debugDescription)
        default:
            return shown("\(error)")
        }
    }
}

extension Provenance {
    /// DreamO's adapters: those at the beginning that have the names of its files.
    package var dreamO: [Adapter] {
        let names = DreamOFile.allCases.compactMap { $0.name.split(separator: "/").last }
        var seen: Set<String> = []
        return Array(
            adapters.prefix { names.contains($0.name[...]) && seen.insert($0.name).inserted }
        )
    }

    /// The user's own adapters.
    package var loras: [Adapter] { Array(adapters.dropFirst(dreamO.count)) }

    /// What the farm knows the model by that the picture was made with: the base and DreamO's
    /// adapters.
    package var farmModelDigest: String {
        ModelDigest(base: model, adapters: dreamO.map { ($0.digest, $0.weight) }).description
    }

    /// The request that gives the picture again.
    ///
    /// - Parameters:
    ///   - reference: Finds a reference's file, by its digest.
    ///   - lora: Finds the file of one of the user's own adapters, by its digest.
    /// - Returns: The request, for the model and the class that the picture was made with.
    /// - Throws: What the closures throw; `ImageError` for a reference that is no picture;
    ///   `ProvenanceError.otherFile` for a file with another digest.
    package func request(
        reference: (Reference) throws -> String,
        lora: (Adapter) throws -> String
    ) throws -> RenderRequest {
        var request = RenderRequest(
            prompt: prompt,
            width: settings.width,
            height: settings.height,
            steps: settings.steps,
            guidance: settings.guidance,
            seed: seed,
            refRes: settings.refRes
        )
        request.negativePrompt = negativePrompt ?? ""
        request.firstStepGuidance = settings.firstStepGuidance
        if let values = settings.trueCFG {
            request.trueCFG = TrueCFG(
                scale: values[0],
                start: Int(values[1]),
                end: Int(values[2]),
                guidance: values[3]
            )
        }
        request.prepare = settings.prepare
        request.posterior = settings.posterior
        request.noise = settings.noise
        request.maxTextTokens = settings.maxTextTokens
        request.stepCache = settings.stepCache ?? 0
        request.conditions = try references.map { wanted in
            let path = try reference(wanted)
            let condition = try Condition(path: path, task: wanted.task, slot: wanted.slot)
            try Self.check(path, found: condition.digest, wanted: wanted.digest)
            return condition
        }
        request.loras = try loras.map { wanted in
            let path = try lora(wanted)
            try Self.check(path, found: try fileDigest(path), wanted: wanted.digest)
            return AdapterSelection.Lora(path: path, strength: wanted.weight, name: wanted.name)
        }
        return request
    }

    private static func check(
        _ path: String,
        found: String,
        wanted: String
    ) throws(ProvenanceError) {
        guard found == wanted else {
            throw .otherFile(path: path, found: found, wanted: wanted)
        }
    }
}
