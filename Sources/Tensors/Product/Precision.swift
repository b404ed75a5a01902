import CKernels

/// What a network's products are computed in; sums are in float32, or in int32 where both sides
/// are bytes.
package enum Precision: String, Sendable, CaseIterable {
    /// The reference.
    case float32
    /// Weights and activations rounded to bfloat16.
    case bfloat16
    /// Weights in eight bits with a scale an output, activations in eight bits with a scale and a
    /// zero a token, found when they are computed.
    case int8
    /// Weights in four bits in groups of inputs, which a whole factor a group makes bytes again;
    /// activations as in `int8`. For memory: it is no faster.
    case int4

    /// What activations are in.
    package var operand: Precision { self == .int4 ? .int8 : self }

    /// Whether products are of bytes, with scales.
    var isBytes: Bool { operand == .int8 }

    var format: kernel_format {
        switch self {
        case .float32: KERNEL_FORMAT_F32
        case .bfloat16: KERNEL_FORMAT_BF16
        case .int8, .int4: KERNEL_FORMAT_I8
        }
    }

    /// How many values four bytes of a packed weight hold.
    package var valuesPerWord: Int {
        switch self {
        case .float32: 1
        case .bfloat16: 2
        case .int8: 4
        case .int4: 8
        }
    }

    /// The words of a row of values.
    func words(_ values: Int) -> Int {
        let own = operand.valuesPerWord
        return (values + own - 1) / own
    }

    /// The words of a weight's output of so many inputs.
    func weightWords(_ inputs: Int) -> Int {
        self == .int4 ? kernel_nibble_words(inputs) : words(inputs)
    }

    /// The fastest of this processor.
    package static var fastest: Precision { KernelLevel.best == .scalar ? .float32 : .int8 }

    /// What is computed in it where bytes would cost more than they save.
    package var floating: Precision {
        isBytes ? .bfloat16 : self
    }
}

/// The instructions that products use; each level has those before it.
package enum KernelLevel: String, Sendable, CaseIterable, Comparable {
    case scalar
    case avx2
    case avx512
    case avx512VNNI = "avx512_vnni"
    case avx512BF16 = "avx512_bf16"

    /// The best level of this processor.
    package static let best: KernelLevel = {
        let name = String(cString: kernel_level_name(kernel_best_level()))
        return KernelLevel(rawValue: name) ?? .scalar
    }()

    /// The levels of this processor.
    package static var available: [KernelLevel] {
        allCases.filter { $0 <= best }
    }

    package static func < (left: KernelLevel, right: KernelLevel) -> Bool {
        left.level.rawValue < right.level.rawValue
    }

    var level: kernel_level {
        switch self {
        case .scalar: KERNEL_LEVEL_SCALAR
        case .avx2: KERNEL_LEVEL_AVX2
        case .avx512: KERNEL_LEVEL_AVX512
        case .avx512VNNI: KERNEL_LEVEL_AVX512_VNNI
        case .avx512BF16: KERNEL_LEVEL_AVX512_BF16
        }
    }
}
