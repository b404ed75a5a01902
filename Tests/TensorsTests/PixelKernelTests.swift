import CKernels
import Tensors
import Testing

/// Pixels to planes and back.
@Suite
struct PixelKernelTests {
    @Test("every level comes back")
    func roundTrip() {
        var pixels: [UInt8] = []
        for level in 0..<256 {
            pixels += [UInt8(level), UInt8(255 - level), UInt8(level * 7 % 256)]
        }
        let planes = Tensor(rgb8: pixels)
        #expect(planes.rows == 3)
        #expect(planes.columns == 256)
        #expect(planes.rgb8 == pixels)
    }

    @Test("levels are spread from -1 to 1, channel by channel")
    func planes() {
        let planes = Tensor(rgb8: [0, 51, 255, 128, 1, 254])
        let levels: [Float] = [0, 128, 51, 1, 255, 254]
        let expected = levels.map { $0 / 255 * 2 - 1 }
        #expect(planes.values == expected)
    }

    @Test("values are clamped, rounded, and halves go to the even level")
    func rounding() {
        func value(_ level: Float) -> Float { level / 255 * 2 - 1 }
        let values: [Float] = [
            -1, 1, -5, 5, -.infinity, .infinity, 0, value(0.49), value(0.51), value(100.4),
            value(100.6),
        ]
        let levels: [UInt8] = [0, 255, 0, 255, 0, 255, 128, 0, 1, 100, 101]
        let planes = Tensor(rows: 3, columns: values.count, values: values + values + values)
        #expect(planes.rgb8 == levels.flatMap { [$0, $0, $0] })
    }

    @Test("planes may lie apart", arguments: [1, 2, 15, 16, 17, 33])
    func stride(pixels: Int) {
        let levels = (0..<3 * pixels).map { UInt8(($0 * 37) % 256) }
        let stride = pixels + 5
        var planes = [Float](repeating: 7, count: 3 * stride)
        kernel_planes_from_rgb8_f32(&planes, levels, pixels, stride)
        for channel in 0..<3 {
            for pixel in 0..<stride {
                let value = planes[channel * stride + pixel]
                guard pixel < pixels else {
                    #expect(value == 7)
                    continue
                }
                #expect(value == Float(levels[3 * pixel + channel]) / 255 * 2 - 1)
            }
        }
        var back = [UInt8](repeating: 9, count: 3 * pixels + 2)
        kernel_rgb8_from_planes_f32(&back, planes, pixels, stride)
        #expect(back == levels + [9, 9])
    }

    @Test("infinite values and values that are not numbers are found in any row")
    func finite() {
        let tensor = Tensor.gapped(3, 17, seed: 1)
        #expect(tensor.isFinite)
        for value in [Float.nan, .infinity, -.infinity] {
            let broken = tensor.copied
            broken.row(2)[16] = value
            #expect(!broken.isFinite)
        }
    }
}
