import ArgumentParser
import Tensors

/// The value of `--precision`.
enum RenderPrecision: ExpressibleByArgument, CaseIterable {
    case fastest
    case float32
    case bfloat16
    case int8
    case int4

    static let help = """
        What products are computed in: float32, bfloat16, int8, int4; fastest takes what the model is \
        packed in, else the fastest of this processor.
        """

    init?(argument: String) {
        guard let value = Self.allCases.first(where: { $0.defaultValueDescription == argument })
        else { return nil }
        self = value
    }

    var defaultValueDescription: String {
        switch self {
        case .fastest: "fastest"
        case .float32: "float32"
        case .bfloat16: "bfloat16"
        case .int8: "int8"
        case .int4: "int4"
        }
    }

    static var allValueStrings: [String] { allCases.map(\.defaultValueDescription) }

    /// The precision that is meant; nil for what the model is packed in, else the fastest.
    var precision: Precision? {
        switch self {
        case .fastest: nil
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int8: .int8
        case .int4: .int4
        }
    }
}
