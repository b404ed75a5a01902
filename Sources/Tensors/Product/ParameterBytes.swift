/// Bytes of parameters in memory: those that the ranks of a group share, and those that each has.
package struct ParameterBytes: Sendable, Hashable {
    /// This rank's part of what is split.
    package var split: Int
    /// What every rank has all of.
    package var replicated: Int

    package init(split: Int = 0, replicated: Int = 0) {
        self.split = split
        self.replicated = replicated
    }

    package var total: Int { split + replicated }

    package static func + (left: ParameterBytes, right: ParameterBytes) -> ParameterBytes {
        ParameterBytes(
            split: left.split + right.split,
            replicated: left.replicated + right.replicated
        )
    }
}

extension Tensor {
    /// Bytes of a parameter that is not split.
    package var parameterBytes: ParameterBytes {
        ParameterBytes(replicated: rows * columns * MemoryLayout<Float>.stride)
    }
}

extension Sequence<ParameterBytes> {
    package var sum: ParameterBytes { reduce(ParameterBytes(), +) }
}
