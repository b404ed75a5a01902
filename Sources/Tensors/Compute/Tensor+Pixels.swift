import CKernels
import COpenBLAS

extension Tensor {
    /// A picture's planes (3, width · height) in −1…1 from 8-bit RGB pixels.
    package init(rgb8 pixels: [UInt8]) {
        precondition(pixels.count % 3 == 0, "three values a pixel")
        self.init(rows: 3, columns: pixels.count / 3)
        kernel_planes_from_rgb8_f32(base, pixels, columns, stride)
    }

    /// The 8-bit RGB pixels of a picture's planes (3, pixels) in −1…1, clamped and rounded.
    package var rgb8: [UInt8] {
        precondition(rows == 3, "a picture has three planes")
        return [UInt8](unsafeUninitializedCapacity: 3 * columns) { buffer, count in
            if let out = buffer.baseAddress {
                kernel_rgb8_from_planes_f32(out, base, columns, stride)
            }
            count = 3 * columns
        }
    }

    /// Whether no value is infinite or not a number.
    package var isFinite: Bool {
        (0..<rows).allSatisfy { index in
            UnsafeBufferPointer(start: row(index), count: columns).allSatisfy(\.isFinite)
        }
    }
}

extension Compute {
    /// What the bytes of a result depend on beside its inputs: the kernels and the matrix library.
    package var kernelFamily: String {
        let library = openblas_get_corename().map { String(cString: $0) } ?? "generic"
        let set = String(cString: kernel_instruction_set())
        return "\(kernels.rawValue)+\(set)+openblas-\(library)"
    }
}
