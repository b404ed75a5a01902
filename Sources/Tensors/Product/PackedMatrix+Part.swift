import CKernels

extension PackedMatrix {
    /// Some outputs and inputs of the weight, with the values that they have in it.
    ///
    /// Of four bits, inputs that do not begin and end with a group are in eight bits, exactly.
    ///
    /// - Parameters:
    ///   - ranges: The outputs, in the order in which the part has them.
    ///   - range: The inputs.
    /// - Returns: The part, in memory of its own; the weight itself where that is all of it.
    func part(outputs ranges: [Range<Int>], inputs range: Range<Int>) -> PackedMatrix {
        let chosen = ranges.flatMap { Array($0) }
        guard chosen.count < outputs || range.count < inputs else { return self }
        let isWhole = range == 0..<inputs
        let isCut = precision == .int4 && !isWhole && !Self.beginsGroups(range, of: inputs)
        let part = PackedMatrix(
            sizes: chosen.count,
            range.count,
            isCut ? .int8 : precision
        )
        // A panel of the source as bytes, and which one it is.
        var bytes: (panel: Int, memory: Memory)?
        for index in 0..<Panel.count(chosen.count, of: Panel.columns) {
            let first = index * Panel.columns
            let columns = chosen[first..<min(first + Panel.columns, chosen.count)]
            for (column, output) in columns.enumerated() {
                let source = output / Panel.columns
                let place = output % Panel.columns
                if isCut {
                    if bytes?.panel != source { bytes = (source, expanded(source)) }
                    guard let memory = bytes?.memory else { continue }
                    part.copyValues(from: memory.base, place, range, to: index, column)
                } else if precision == .int4 {
                    part.copyNibbles(from: panel(source), place, range, of: self, to: index, column)
                } else {
                    part.copyValues(from: panel(source), place, range, to: index, column)
                }
                if let own = scales(source), let scales = part.scales(index) {
                    scales.factors[column] = own.factors[place]
                    scales.sums[column] = own.sums[place]
                }
            }
            if !isWhole { part.sum(index) }
        }
        return part
    }

    /// Whether inputs begin and end with groups of four-bit weights.
    private static func beginsGroups(_ range: Range<Int>, of inputs: Int) -> Bool {
        let group = 64
        return range.lowerBound % group == 0
            && (range.upperBound % group == 0 || range.upperBound == inputs)
    }

    /// A panel of four-bit weights as bytes.
    private func expanded(_ index: Int) -> Memory {
        let words = Precision.int8.words(inputs)
        let memory = Memory(count: words * Panel.columns)
        for first in stride(from: 0, to: words, by: Panel.runWords) {
            kernel_nibbles_to_bytes(
                memory.base + first * Panel.columns,
                panel(index),
                words,
                first,
                min(Panel.runWords, words - first)
            )
        }
        return memory
    }

    /// Copies the values of one output of a panel, which has as many values in a word.
    private func copyValues(
        from panel: UnsafePointer<Float>,
        _ place: Int,
        _ range: Range<Int>,
        to index: Int,
        _ column: Int
    ) {
        let values = precision.operand.valuesPerWord
        let out = self.panel(index) + column
        if range.lowerBound % values == 0, range.count % values == 0 {
            var from = panel + range.lowerBound / values * Panel.columns + place
            for word in 0..<range.count / values {
                out[word * Panel.columns] = from.pointee
                from += Panel.columns
            }
            return
        }
        let size = MemoryLayout<Float>.stride / values
        let source = UnsafeRawPointer(panel + place)
        let target = UnsafeMutableRawPointer(out)
        func offset(_ value: Int) -> Int {
            value / values * Panel.columns * MemoryLayout<Float>.stride + value % values * size
        }
        for (value, from) in range.enumerated() {
            (target + offset(value)).copyMemory(from: source + offset(from), byteCount: size)
        }
    }

    /// Copies whole groups of one output of a panel of four-bit weights: factors, then nibbles.
    private func copyNibbles(
        from panel: UnsafePointer<Float>,
        _ place: Int,
        _ range: Range<Int>,
        of source: PackedMatrix,
        to index: Int,
        _ column: Int
    ) {
        let from = UnsafeRawPointer(panel).assumingMemoryBound(to: UInt32.self) + place
        let out =
            UnsafeMutableRawPointer(self.panel(index))
            .assumingMemoryBound(to: UInt32.self) + column
        func factorWords(_ inputs: Int) -> Int { ((inputs + 63) / 64 + 3) / 4 }
        let first = range.lowerBound / 64
        for word in 0..<factorWords(range.count) {
            var factors: UInt32 = 0
            for byte in 0..<4 where (word * 4 + byte) * 64 < range.count {
                let group = first + word * 4 + byte
                let factor = from[group / 4 * Panel.columns] >> UInt32(8 * (group % 4)) & 255
                factors |= factor << UInt32(8 * byte)
            }
            out[word * Panel.columns] = factors
        }
        let nibbles = from + (factorWords(source.inputs) + range.lowerBound / 8) * Panel.columns
        let target = out + factorWords(range.count) * Panel.columns
        let words = precision.weightWords(range.count) - factorWords(range.count)
        for word in 0..<words {
            target[word * Panel.columns] = nibbles[word * Panel.columns]
        }
    }

    /// Counts the sums of a panel's bytes anew.
    private func sum(_ index: Int) {
        guard let scales = scales(index) else { return }
        let words = Precision.int8.words(inputs)
        let expanded = precision == .int4 ? expanded(index) : nil
        let values = UnsafeRawPointer(expanded?.base ?? panel(index))
            .assumingMemoryBound(to: Int8.self)
        for column in 0..<Panel.columns {
            var sum: Int32 = 0
            for word in 0..<words {
                let four = values + (word * Panel.columns + column) * 4
                sum += Int32(four[0]) + Int32(four[1]) + Int32(four[2]) + Int32(four[3])
            }
            scales.sums[column] = sum
        }
    }
}
