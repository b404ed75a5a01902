import CKernels

/// The conversion of stored values to float32.
struct FloatConversion {
    let type: SafetensorsType
    /// Multiplied into eight-bit values.
    let scale: Float

    /// Whether values of that type can be converted.
    static func reads(_ type: SafetensorsType) -> Bool {
        switch type {
        case .unknown, .bool: false
        default: true
        }
    }

    /// Converts as many values as the destination has.
    func convert(
        _ destination: UnsafeMutableBufferPointer<Float>,
        from source: UnsafeRawBufferPointer
    ) {
        guard let values = destination.baseAddress, let bytes = source.baseAddress else { return }
        let count = destination.count
        switch type {
        case .float32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
        case .float16: kernel_widen_f16(values, bytes, count)
        case .bfloat16: kernel_widen_bf16(values, bytes, count)
        case .float8E4M3: kernel_widen_e4m3(values, bytes, scale, count)
        case .float8E5M2: kernel_widen_e5m2(values, bytes, scale, count)
        case .float64:
            for index in 0..<count {
                values[index] = Float(source.value(at: index, as: Double.self))
            }
        case .int64: widen(Int64.self, values, source, count)
        case .int32: widen(Int32.self, values, source, count)
        case .int16: widen(Int16.self, values, source, count)
        case .int8: widen(Int8.self, values, source, count)
        case .uint64: widen(UInt64.self, values, source, count)
        case .uint32: widen(UInt32.self, values, source, count)
        case .uint16: widen(UInt16.self, values, source, count)
        case .uint8: widen(UInt8.self, values, source, count)
        case .bool, .unknown: preconditionFailure("asked for a type that has no conversion")
        }
    }

    private func widen<Value: FixedWidthInteger & BitwiseCopyable>(
        _: Value.Type,
        _ values: UnsafeMutablePointer<Float>,
        _ source: UnsafeRawBufferPointer,
        _ count: Int
    ) {
        for index in 0..<count {
            values[index] = Float(source.value(at: index, as: Value.self))
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func value<Value: BitwiseCopyable>(at index: Int, as _: Value.Type) -> Value {
        loadUnaligned(fromByteOffset: index * MemoryLayout<Value>.stride, as: Value.self)
    }
}

extension UnsafeMutableBufferPointer<Float> {
    /// Rounds every value to bfloat16, ties to even.
    package func roundToBFloat16() {
        var halves = [UInt16](repeating: 0, count: count)
        kernel_narrow_bf16(&halves, baseAddress, count)
        kernel_widen_bf16(baseAddress, halves, count)
    }
}
