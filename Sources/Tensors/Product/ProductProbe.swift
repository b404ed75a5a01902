/// Measures what each layer of a network would lose in other precisions, while it runs in float32.
///
/// A layer's inputs are the exact ones: its error is its own, not that of those before it.
package final class ProductProbe {
    /// One layer.
    package struct Row: Sendable {
        /// The layer's name, as its parameters have it.
        package let name: String
        package let inputs: Int
        package let outputs: Int
        /// The relative L2 error of its outputs, a precision each.
        package let errors: [Double]
    }

    package let precisions: [Precision]
    /// The layers in the order in which they first ran; each is measured then.
    package private(set) var rows: [Row] = []
    private var names: Set<String> = []

    package init(_ precisions: [Precision]) {
        self.precisions = precisions
    }

    /// Measures a layer that has a name, the first time that it runs.
    func note(_ x: [Operand], _ layer: Linear, in compute: Compute) {
        guard layer.precision == .float32, !layer.name.isEmpty, names.insert(layer.name).inserted
        else { return }
        let inputs = x.map(\.floats)
        let weights = layer.weights.map(\.floats)
        func output(_ precision: Precision) -> Tensor {
            let sum = Tensor(rows: inputs[0].rows, columns: layer.outputs)
            let part = Tensor(rows: inputs[0].rows, columns: layer.outputs)
            for (input, weight) in zip(inputs, weights) {
                let packed = PackedMatrix(weight, precision: precision, threads: compute.threads)
                compute.product(part, input, packed)
                compute.add(sum, part)
            }
            return sum
        }
        let exact = output(.float32)
        let errors = precisions.map { relativeError(of: output($0), from: exact) }
        rows.append(
            Row(name: layer.name, inputs: layer.inputs, outputs: layer.outputs, errors: errors)
        )
    }
}

/// |y − x| / |x|, in the L2 norm; 0 where both are nothing.
private func relativeError(of y: Tensor, from x: Tensor) -> Double {
    var (error, size) = (0.0, 0.0)
    for row in 0..<x.rows {
        let (found, expected) = (y.row(row), x.row(row))
        for column in 0..<x.columns {
            let difference = Double(found[column]) - Double(expected[column])
            error += difference * difference
            size += Double(expected[column]) * Double(expected[column])
        }
    }
    return size > 0 ? (error / size).squareRoot() : 0
}

extension Operand {
    /// The values of an operand in float32: (rows, columns).
    fileprivate var floats: Tensor {
        let values = Tensor(rows: rows, columns: columns)
        for index in 0..<panelCount {
            let words = panel(index)
            for row in rows(index) {
                for column in 0..<columns {
                    values.row(row)[column] = words[column * Panel.rows + row % Panel.rows]
                }
            }
        }
        return values
    }
}

extension PackedMatrix {
    /// The values of a weight in float32: (outputs, inputs).
    fileprivate var floats: Tensor {
        let values = Tensor(rows: outputs, columns: inputs)
        for output in 0..<outputs {
            let words = panel(output / Panel.columns)
            for input in 0..<inputs {
                values.row(output)[input] = words[input * Panel.columns + output % Panel.columns]
            }
        }
        return values
    }
}
