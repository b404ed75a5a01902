import CKernels
import Dispatch

/// A weight (outputs, inputs) in panels of outputs, as products read it.
///
/// The layout is `product.h`'s: a panel has `Panel.columns` outputs, word by word along the inputs.
package struct PackedMatrix: Sendable {
    package let outputs: Int
    package let inputs: Int
    package let precision: Precision
    /// The panels, one after the other.
    private let panels: Memory
    /// Of bytes, and of what becomes bytes: an output's scale, then the sum of its bytes.
    private let scales: Memory?

    /// Packs a weight (outputs, inputs).
    ///
    /// - Parameters:
    ///   - weight: The weight, row-major.
    ///   - precision: What it is rounded to.
    ///   - threads: How many threads share the work; the result does not depend on it.
    package init(_ weight: Tensor, precision: Precision, threads: Int = 1) {
        self.outputs = weight.rows
        self.inputs = weight.columns
        self.precision = precision
        let count = Panel.count(weight.rows, of: Panel.columns)
        let length = precision.weightWords(weight.columns) * Panel.columns
        panels = Memory(count: count * length)
        scales = precision.isBytes ? Memory(count: 2 * count * Panel.columns) : nil
        let parts = max(1, min(threads, count))
        DispatchQueue.concurrentPerform(iterations: parts) { [self] part in
            for panel in stride(from: part, to: count, by: parts) {
                pack(weight, panel: panel)
            }
        }
    }

    /// Packs a weight cut along its inputs, each part by itself.
    static func parts(
        of weight: Tensor,
        inputs: [Int],
        precision: Precision,
        threads: Int = 1
    ) -> [PackedMatrix] {
        var first = 0
        return inputs.map { count in
            defer { first += count }
            let part = weight.columns(first..<first + count)
            return PackedMatrix(part, precision: precision, threads: threads)
        }
    }

    /// A weight that was packed before, or nil where the memory has another length.
    init?(outputs: Int, inputs: Int, precision: Precision, panels: Memory, scales: Memory?) {
        self.outputs = outputs
        self.inputs = inputs
        self.precision = precision
        self.panels = panels
        self.scales = scales
        let count = Panel.count(outputs, of: Panel.columns)
        guard panels.count == count * precision.weightWords(inputs) * Panel.columns,
            scales?.count == (precision.isBytes ? 2 * count * Panel.columns : nil)
        else { return nil }
    }

    /// The same sizes without the values, which are saved elsewhere.
    var emptied: PackedMatrix { PackedMatrix(sizesOf: self) }

    /// A weight of zeros, to be filled.
    init(sizes outputs: Int, _ inputs: Int, _ precision: Precision) {
        self.outputs = outputs
        self.inputs = inputs
        self.precision = precision
        let count = Panel.count(outputs, of: Panel.columns)
        panels = Memory(count: count * precision.weightWords(inputs) * Panel.columns)
        scales = precision.isBytes ? Memory(count: 2 * count * Panel.columns) : nil
    }

    private init(sizesOf other: PackedMatrix) {
        outputs = other.outputs
        inputs = other.inputs
        precision = other.precision
        panels = Memory(count: 0)
        scales = nil
    }

    /// Gives the pages of a mapped weight back to the system.
    func letGo() {
        panels.letGo()
        scales?.letGo()
    }

    /// The panels as they are stored.
    var panelBytes: UnsafeRawBufferPointer { panels.bytes }
    /// The scales and sums as they are stored, or nil.
    var scaleBytes: UnsafeRawBufferPointer? { scales?.bytes }

    private func pack(_ weight: Tensor, panel: Int) {
        let first = panel * Panel.columns
        let count = min(Panel.columns, outputs - first)
        let out = self.panel(panel)
        if let scales = self.scales(panel) {
            let quantize =
                precision == .int4 ? kernel_quantize_nibble_columns : kernel_quantize_columns
            quantize(
                out,
                scales.factors,
                scales.sums,
                weight.row(first),
                count,
                inputs,
                weight.stride
            )
        } else {
            kernel_pack_columns(
                out,
                weight.row(first),
                count,
                inputs,
                weight.stride,
                precision.format
            )
        }
    }

    /// Words of an output.
    private var words: Int { precision.weightWords(inputs) }

    /// Bytes of memory.
    package var bytes: Int {
        (panels.count + (scales?.count ?? 0)) * MemoryLayout<Float>.stride
    }

    /// The first word of a panel.
    func panel(_ index: Int) -> UnsafeMutablePointer<Float> {
        panels.base + index * words * Panel.columns
    }

    /// The scales of a panel's outputs and the sums of their bytes, or nil.
    func scales(
        _ panel: Int
    ) -> (factors: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Int32>)? {
        guard let scales else { return nil }
        let half = scales.count / 2
        let first = panel * Panel.columns
        let sums = UnsafeMutableRawPointer(scales.base + half + first)
        return (scales.base + first, sums.assumingMemoryBound(to: Int32.self))
    }
}

/// The sizes of panels.
enum Panel {
    static let rows = Int(KERNEL_PANEL_ROWS)
    static let columns = Int(KERNEL_PANEL_COLUMNS)
    /// The words of a run of a panel.
    static let runWords = Int(KERNEL_RUN_WORDS)

    /// A count of rows or columns, filled to whole panels.
    static func padded(_ length: Int, to size: Int) -> Int {
        count(length, of: size) * size
    }

    /// How many panels hold a count of rows or columns.
    static func count(_ length: Int, of size: Int) -> Int {
        (length + size - 1) / size
    }
}
