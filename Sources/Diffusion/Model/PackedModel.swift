import FoundationEssentials
package import Tensors

/// What a model with packed weights says of itself: with it the model stands for the one that it
/// was made from, and its pictures are the same files.
package struct PackedModel: Sendable, Equatable {
    /// What its weights are packed in.
    package let precision: Precision
    /// The digest of the base model that it was made from, with those of its encoders.
    let digest: String
    /// DreamO's adapters that are in its weights, a line each: digest and strength.
    let adapters: [String]

    private static let keys = (
        precision: "dreamfarm precision", digest: "dreamfarm digest",
        adapters: "dreamfarm adapters"
    )

    init(precision: Precision, digest: String, adapters: [AdapterListing]) {
        self.precision = precision
        self.digest = digest
        self.adapters = Self.lines(adapters)
    }

    /// Reads the strings of the transformer's file, or nil where its weights are not packed.
    init?(_ file: SafetensorsFile) throws(SafetensorsError) {
        guard PackedSource.matches(file) else { return nil }
        guard let precision = file.metadata[Self.keys.precision].flatMap(Precision.init),
            let digest = file.metadata[Self.keys.digest], ModelDigest(record: digest) != nil,
            let adapters = file.metadata[Self.keys.adapters]
        else {
            throw .header(file: file.path, problem: "its packed weights do not say what they are")
        }
        self.precision = precision
        self.digest = digest
        self.adapters = adapters.split(separator: "\n").map(String.init)
    }

    /// The strings for the transformer's file.
    var metadata: [String: String] {
        [
            Self.keys.precision: precision.rawValue, Self.keys.digest: digest,
            Self.keys.adapters: adapters.joined(separator: "\n"),
        ]
    }

    private static func lines(_ listing: some Collection<AdapterListing>) -> [String] {
        listing.map { "\($0.digest) \($0.strength)" }
    }

    /// Checks that the model is used as it was packed.
    ///
    /// - Throws: `ModelError.packed`.
    func check(
        _ precision: Precision,
        adapters listing: some Collection<AdapterListing>,
        path: String
    ) throws(ModelError) {
        guard precision == self.precision else {
            throw .packed(
                path: path,
                problem: "its weights are packed in \(self.precision), not in \(precision)",
                remedy: "use --precision \(self.precision), or the model that it was made from"
            )
        }
        guard Self.lines(listing) == adapters else {
            throw .packed(
                path: path,
                problem: "other adapters are in its weights than are chosen",
                remedy: "choose them as when it was packed, or use the model that it was made from"
            )
        }
    }
}

/// A part's packed weights among its plain tensors.
struct PackedPartSource: MappedSource {
    let set: SafetensorsSet
    private let packed: PackedSource

    /// The part's weights where they are packed, or nil.
    init?(_ set: SafetensorsSet) throws(SafetensorsError) {
        guard set.files.count == 1, PackedSource.matches(set.files[0]) else { return nil }
        self.set = set
        packed = try PackedSource(set.files[0])
    }

    func place(of name: String) -> TensorPlace? {
        set.shape(of: name) == nil ? nil : TensorPlace(tensor: name)
    }

    func shape(of name: String) -> [Int]? { packed.shape(of: name) }

    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try packed.read(name, shape: shape, into: destination)
    }

    func packed(
        _ modules: [(name: String, outputs: Int)],
        inputs: [Int],
        _ precision: Precision,
        isAllWanted: Bool
    ) throws -> [PackedMatrix]? {
        try packed.packed(modules, inputs: inputs, precision, isAllWanted: isAllWanted)
    }
}
