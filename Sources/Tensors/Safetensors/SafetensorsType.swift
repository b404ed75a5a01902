/// The type of a stored tensor's values, by its name in the header.
package enum SafetensorsType: Sendable, Hashable, CustomStringConvertible {
    case float64, float32, float16, bfloat16
    /// Four exponent bits, finite only (`e4m3fn`).
    case float8E4M3
    /// Five exponent bits.
    case float8E5M2
    case int64, int32, int16, int8, uint64, uint32, uint16, uint8, bool
    /// A name that this reader does not know; its tensors can be carried but not read.
    case unknown(String)

    private static let names: [(SafetensorsType, String, Int)] = [
        (.float64, "F64", 8), (.float32, "F32", 4), (.float16, "F16", 2), (.bfloat16, "BF16", 2),
        (.float8E4M3, "F8_E4M3", 1), (.float8E5M2, "F8_E5M2", 1),
        (.int64, "I64", 8), (.int32, "I32", 4), (.int16, "I16", 2), (.int8, "I8", 1),
        (.uint64, "U64", 8), (.uint32, "U32", 4), (.uint16, "U16", 2), (.uint8, "U8", 1),
        (.bool, "BOOL", 1),
    ]

    /// The type with that name in a header.
    package init(name: String) {
        self = Self.names.first { $0.1 == name }?.0 ?? .unknown(name)
    }

    /// The name in a header.
    package var description: String {
        if case .unknown(let name) = self { return name }
        return Self.names.first { $0.0 == self }?.1 ?? ""
    }

    /// Bytes of one value; nil for an unknown type.
    package var byteCount: Int? {
        Self.names.first { $0.0 == self }?.2
    }

    /// Whether values have eight bits and a scale beside them may belong to them.
    package var isFloat8: Bool {
        self == .float8E4M3 || self == .float8E5M2
    }
}
