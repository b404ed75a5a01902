package import Tensors

/// A LoRA file, its pairs matched to the modules of one transformer.
///
/// The names of DreamO's files, XLabs', kohya's, BFL's, PEFT's and diffusers' are understood, in
/// any mixture. Only the header and the alphas are read here; the matrices are read when a weight
/// is merged, and dropped after.
package struct AdapterFile: Sendable {
    /// Whose file it is, which decides what must be in it.
    package enum Origin: Sendable {
        /// One of DreamO's own: embedding tables beside the pairs are no pairs.
        case dreamO
        /// A user's: it must hold at least one pair.
        case user
    }

    /// The file's path, as errors name it.
    package let path: String
    /// Every change it makes, ordered by module and row.
    package let pairs: [LowRankPair]
    /// How many pairs of matrices the file has for the transformer.
    package let pairCount: Int
    /// The ranks of those pairs, ascending, each once.
    package let ranks: [Int]
    /// How many tensors for text encoders were passed over.
    package let skippedTextEncoderKeys: Int

    private let file: SafetensorsFile

    /// What the user should know about the file, one line each.
    package var warnings: [String] {
        guard skippedTextEncoderKeys > 0 else { return [] }
        let noun = skippedTextEncoderKeys == 1 ? "key was" : "keys were"
        return ["\(path): \(skippedTextEncoderKeys) text-encoder \(noun) skipped"]
    }

    /// Opens a file and matches its pairs to a transformer.
    ///
    /// - Throws: `SafetensorsError` for a broken file; `AdapterError` for pairs that do not fit.
    package init(path: String, origin: Origin, targets: AdapterTargets) throws {
        try self.init(file: SafetensorsFile(path: path), origin: origin, targets: targets)
    }

    /// Matches the pairs of an open file to a transformer.
    package init(file: SafetensorsFile, origin: Origin, targets: AdapterTargets) throws {
        self.file = file
        path = file.path
        let contents = try AdapterContents(file: file, isDreamO: origin == .dreamO)
        skippedTextEncoderKeys = contents.skipped
        var slices: [LowRankPair] = []
        var unmatched: [String] = []
        var ranks: Set<Int> = []
        for (stem, parts) in contents.stems.sorted(by: { $0.key < $1.key }) {
            guard let target = targets.target(of: stem) else {
                unmatched += [parts.down, parts.up, parts.alpha].compactMap(\.self)
                continue
            }
            let found = try contents.pairs(of: stem, parts, for: target)
            slices += found
            ranks.formUnion(found.map(\.rank))
        }
        guard unmatched.isEmpty else {
            throw AdapterError.unmatchedKeys(file: file.path, keys: unmatched.sorted())
        }
        guard origin == .dreamO || !slices.isEmpty else {
            throw AdapterError.noPairs(file: file.path, skipped: contents.skipped)
        }
        pairCount = contents.stems.count
        self.ranks = ranks.sorted()
        pairs = slices.sorted {
            ($0.module, $0.targetRows.lowerBound) < ($1.module, $1.targetRows.lowerBound)
        }
        try Self.checkOverlaps(pairs, file: file.path)
    }

    /// Adds one pair's product to the weight of its module.
    ///
    /// Both matrices are read, converted to float32 and dropped when this returns.
    ///
    /// - Parameters:
    ///   - pair: One of `pairs`.
    ///   - strength: The adapter's weight.
    ///   - weight: The module's whole weight, (out, in), row-major.
    ///   - threads: How many threads share the product.
    /// - Throws: `SafetensorsError` when a matrix cannot be read or holds a value that is not
    ///   finite.
    func add(
        _ pair: LowRankPair,
        strength: Float,
        to weight: UnsafeMutableBufferPointer<Float>,
        threads: Int
    ) throws {
        let down = try file.values(of: pair.downKey)
        var up = try file.values(of: pair.upKey)
        if pair.scale != 1 {
            for index in up.indices {
                up[index] *= pair.scale
            }
        }
        let rows = pair.targetRows
        let target = weight[
            rows.lowerBound * pair.inFeatures..<rows.upperBound * pair.inFeatures
        ]
        let used = pair.sourceRows.lowerBound * pair.rank..<pair.sourceRows.upperBound * pair.rank
        up.withUnsafeBufferPointer { up in
            down.withUnsafeBufferPointer { down in
                matrixProduct(
                    UnsafeMutableBufferPointer(rebasing: target),
                    UnsafeBufferPointer(rebasing: up[used]),
                    down,
                    m: rows.count,
                    n: pair.inFeatures,
                    k: pair.rank,
                    alpha: strength,
                    beta: 1,
                    threads: threads
                )
            }
        }
    }

    /// Adds a pair's product to some rows and columns of the module's weight.
    ///
    /// - Parameters:
    ///   - pair: One of `pairs`.
    ///   - strength: The adapter's weight.
    ///   - rows: The rows of the weight.
    ///   - columns: The columns of the weight.
    ///   - weight: Those rows and columns.
    /// - Throws: As `matrices`.
    func add(
        _ pair: LowRankPair,
        strength: Float,
        rows: Range<Int>,
        columns: Range<Int>,
        to weight: Tensor
    ) throws {
        let own = pair.targetRows.clamped(to: rows)
        guard !own.isEmpty, !columns.isEmpty else { return }
        let (down, up) = try matrices(of: pair, strength: strength)
        let first = pair.targetRows.lowerBound
        multiply(
            weight.rows(own.lowerBound - rows.lowerBound..<own.upperBound - rows.lowerBound),
            up.rows(own.lowerBound - first..<own.upperBound - first),
            down.columns(columns),
            transposed: false,
            keep: 1
        )
    }

    /// Reads one pair as matrices.
    ///
    /// - Parameters:
    ///   - pair: One of `pairs`.
    ///   - strength: The adapter's weight.
    /// - Returns: down (rank, in), and up (target rows, rank) times everything that it is
    ///   multiplied by.
    /// - Throws: As `add`.
    func matrices(of pair: LowRankPair, strength: Float) throws -> (down: Tensor, up: Tensor) {
        let down = Tensor(
            rows: pair.rank,
            columns: pair.inFeatures,
            values: try file.values(of: pair.downKey)
        )
        let used = pair.sourceRows.lowerBound * pair.rank..<pair.sourceRows.upperBound * pair.rank
        let factor = strength * pair.scale
        let up = try file.values(of: pair.upKey)[used].map { $0 * factor }
        return (down, Tensor(rows: pair.sourceRows.count, columns: pair.rank, values: up))
    }

    /// Refuses two pairs for one row, of which only one could be meant.
    private static func checkOverlaps(_ pairs: [LowRankPair], file: String) throws(AdapterError) {
        for (first, second) in zip(pairs, pairs.dropFirst())
        where first.module == second.module
            && second.targetRows.lowerBound < first.targetRows.upperBound
        {
            throw .overlappingPairs(
                file: file,
                module: first.module,
                first: first.downKey,
                second: second.downKey
            )
        }
    }
}

/// The tensors of an adapter file, sorted into pairs by the stem of their names.
private struct AdapterContents {
    /// The names of a pair's tensors.
    struct Parts {
        var down: String?
        var up: String?
        var alpha: String?
    }

    let file: SafetensorsFile
    var stems: [String: Parts] = [:]
    var skipped = 0

    init(file: SafetensorsFile, isDreamO: Bool) throws(AdapterError) {
        self.file = file
        var unknown: [String] = []
        var unsupported: [String: [String]] = [:]
        for name in file.names {
            switch AdapterKey(name, isDreamO: isDreamO) {
            case .down(let stem): try set(\.down, of: stem, to: name)
            case .up(let stem): try set(\.up, of: stem, to: name)
            case .alpha(let stem): try set(\.alpha, of: stem, to: name)
            case .textEncoder: skipped += 1
            case .embedding: break
            case .unsupported(let form): unsupported[form, default: []].append(name)
            case .unknown: unknown.append(name)
            }
        }
        if let (form, keys) = unsupported.min(by: { $0.key < $1.key }) {
            throw .unsupportedForm(file: file.path, form: form, keys: keys)
        }
        guard unknown.isEmpty else {
            throw .unmatchedKeys(file: file.path, keys: unknown)
        }
    }

    /// Records one tensor of a pair, which must be the only one of its kind.
    private mutating func set(
        _ part: WritableKeyPath<Parts, String?>,
        of stem: String,
        to name: String
    ) throws(AdapterError) {
        if let other = stems[stem]?[keyPath: part] {
            throw .overlappingPairs(file: file.path, module: stem, first: other, second: name)
        }
        stems[stem, default: Parts()][keyPath: part] = name
    }

    /// Checks one pair against its target and splits it.
    func pairs(
        of stem: String,
        _ parts: Parts,
        for target: AdapterTargets.Target
    ) throws -> [LowRankPair] {
        guard let down = parts.down else {
            throw AdapterError.missingPartner(file: file.path, stem: stem, missing: "down")
        }
        guard let up = parts.up else {
            throw AdapterError.missingPartner(file: file.path, stem: stem, missing: "up")
        }
        let (rank, inFeatures) = try matrix(down)
        let (outFeatures, upRank) = try matrix(up)
        guard rank == upRank, rank > 0 else {
            throw AdapterError.rankMismatch(file: file.path, stem: stem, down: rank, up: upRank)
        }
        try check(down, "columns", inFeatures, target.inFeatures)
        try check(up, "rows", outFeatures, target.outFeatures)
        let scale = try parts.alpha.map { try alpha($0) / Float(rank) } ?? 1
        return target.slices.map { slice in
            LowRankPair(
                module: slice.module,
                targetRows: slice.targetRows,
                sourceRows: slice.sourceRows,
                downKey: down,
                upKey: up,
                rank: rank,
                inFeatures: inFeatures,
                scale: scale
            )
        }
    }

    private func matrix(_ key: String) throws(AdapterError) -> (rows: Int, columns: Int) {
        let shape = file.shape(of: key) ?? []
        // A one-by-one convolution is a Linear layer.
        guard shape.count == 2 || shape.count == 4 && shape[2] == 1 && shape[3] == 1 else {
            throw .notAMatrix(file: file.path, key: key, shape: shape)
        }
        return (shape[0], shape[1])
    }

    private func check(
        _ key: String,
        _ side: String,
        _ found: Int,
        _ expected: Int
    ) throws(AdapterError) {
        guard found == expected else {
            throw .shapeMismatch(
                file: file.path,
                key: key,
                side: side,
                found: found,
                expected: expected
            )
        }
    }

    private func alpha(_ key: String) throws -> Float {
        guard file.shape(of: key)?.reduce(1, *) == 1 else {
            throw AdapterError.badAlpha(file: file.path, key: key)
        }
        guard let value = try file.values(of: key).first, value.isFinite else {
            throw AdapterError.badAlpha(file: file.path, key: key)
        }
        return value
    }
}
