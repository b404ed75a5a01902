import Tensors

/// Values of about -2…2, without a pattern.
func patternless(_ count: Int, seed: UInt64 = 1) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int32(truncatingIfNeeded: state >> 32)) / Float(1 << 30)
    }
}

/// A matrix with a gap after each row, for kernels.
struct TestMatrix {
    let rows: Int
    let columns: Int
    let stride: Int
    var values: [Float]

    init(_ rows: Int, _ columns: Int, gap: Int, seed: UInt64) {
        self.rows = rows
        self.columns = columns
        stride = columns + gap
        values = patternless(rows * stride, seed: seed)
    }

    /// What is wrong with this result beside its plain twin's; nil when nothing is.
    ///
    /// `start` is what both were before: the gaps must still be it.
    func problem(_ plain: TestMatrix, start: TestMatrix, tolerance: Float = 2e-6) -> String? {
        for row in 0..<rows {
            for column in 0..<stride {
                let index = row * stride + column
                let (value, expected) = (values[index], plain.values[index])
                if column >= columns {
                    guard value == start.values[index] else { return "the gap of row \(row)" }
                } else if !(abs(value - expected) <= tolerance * max(1, abs(expected))) {
                    return "row \(row), column \(column): \(value), not \(expected)"
                }
            }
        }
        return nil
    }
}

extension Tensor {
    /// A view with a gap after each row, of these values.
    static func gapped(_ rows: Int, _ columns: Int, seed: UInt64, gap: Int = 3) -> Tensor {
        let whole = Tensor(rows: rows, columns: columns + gap)
        whole.fill(.nan)
        let view = whole.columns(1..<columns + 1)
        view.copy(
            from: Tensor(
                rows: rows,
                columns: columns,
                values: patternless(rows * columns, seed: seed)
            )
        )
        return view
    }

    /// A copy with its own memory.
    var copied: Tensor { Tensor(rows: rows, columns: columns, values: values) }

    /// The values to the last bit.
    var bits: [UInt32] { values.map(\.bitPattern) }
}

/// The largest distance of values from what they should be, in units of 1 or of their size.
func error(_ values: [Float], _ expected: [Double]) -> Double {
    guard values.count == expected.count else { return .infinity }
    return zip(values, expected).map { pair in
        let distance = abs(Double(pair.0) - pair.1) / max(1, abs(pair.1))
        return distance.isFinite ? distance : .infinity
    }.max() ?? 0
}
