import CKernels
import Testing

/// The kernels of the convolutions against their plain twins.
@Suite
struct ConvolutionKernelTests {
    static let lengths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128]

    /// Values of about -2…2, without a pattern.
    private static func values(_ count: Int, seed: UInt64 = 1) -> [Float] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int32(truncatingIfNeeded: state >> 32)) / Float(1 << 30)
        }
    }

    private func distance(_ a: [Float], _ b: [Float]) -> Float {
        zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
    }

    @Test(arguments: lengths, [true, false])
    func gather(columns: Int, activated: Bool) {
        // Tiles in a corner, in the middle of a picture that holds its last rows, and all of one.
        for (width, row, column, capacity) in [
            (columns, 0, 0, 5), (columns + 5, 3, 2, 9), (columns + 3, 6, 3, 6),
        ] {
            let tile = kernel_tile(
                width: width,
                height: 9,
                capacity: capacity,
                row: row,
                column: column,
                rows: 3,
                columns: columns
            )
            let x = Self.values(2 * 9 * width)
            let (scale, shift) = (Self.values(2, seed: 2), Self.values(2, seed: 3))
            let stride = 5 * columns + 1
            var (fast, plain) = (Self.values(6 * stride), Self.values(6 * stride))
            kernel_gather_f32(
                &fast,
                x,
                activated ? scale : nil,
                activated ? shift : nil,
                tile,
                2,
                stride,
                9 * width
            )
            kernel_gather_f32_scalar(
                &plain,
                x,
                activated ? scale : nil,
                activated ? shift : nil,
                tile,
                2,
                stride,
                9 * width
            )
            #expect(distance(fast, plain) < (activated ? 2e-6 : .leastNonzeroMagnitude))
        }
    }

    @Test(arguments: lengths, [true, false])
    func gatherHalved(columns: Int, activated: Bool) {
        for (width, height, row, column) in [
            (2 * columns, 6, 0, 0), (2 * columns + 1, 7, 0, 0), (2 * columns + 7, 12, 2, 2),
        ] {
            let tile = kernel_tile(
                width: width,
                height: height,
                capacity: height,
                row: row,
                column: column,
                rows: 3,
                columns: columns
            )
            let x = Self.values(2 * height * width)
            let (scale, shift) = (Self.values(2, seed: 2), Self.values(2, seed: 3))
            let stride = 7 * columns + 1
            var (fast, plain) = (Self.values(6 * stride), Self.values(6 * stride))
            kernel_gather_halved_f32(
                &fast,
                x,
                activated ? scale : nil,
                activated ? shift : nil,
                tile,
                2,
                stride,
                height * width
            )
            kernel_gather_halved_f32_scalar(
                &plain,
                x,
                activated ? scale : nil,
                activated ? shift : nil,
                tile,
                2,
                stride,
                height * width
            )
            #expect(distance(fast, plain) < (activated ? 2e-6 : .leastNonzeroMagnitude))
        }
    }

    @Test(arguments: lengths, [true, false])
    func storeAndCopy(columns: Int, added: Bool) {
        let width = columns + 3
        let tile = kernel_tile(
            width: width,
            height: 9,
            capacity: 4,
            row: 5,
            column: 2,
            rows: 3,
            columns: columns
        )
        let count = 3 * columns
        let addend = Self.values(2 * 9 * width, seed: 4)
        let bias = Self.values(2, seed: 5)
        var (fast, plain) = (
            [Float](repeating: 7, count: 8 * width), [Float](repeating: 7, count: 8 * width)
        )
        var (fastValues, plainValues) = (Self.values(2 * count), Self.values(2 * count))
        var (fastMoments, plainMoments) = (
            [Float](repeating: 0, count: 4), [Float](repeating: 0, count: 4)
        )
        kernel_store_tile_f32(
            &fast,
            &fastMoments,
            &fastValues,
            bias,
            added ? addend : nil,
            tile,
            2,
            4 * width,
            count,
            9 * width,
            9
        )
        kernel_store_tile_f32_scalar(
            &plain,
            &plainMoments,
            &plainValues,
            bias,
            added ? addend : nil,
            tile,
            2,
            4 * width,
            count,
            9 * width,
            9
        )
        #expect(fast == plain)
        #expect(fastValues == plainValues)
        #expect(distance(fastMoments, plainMoments) < 1e-5 * Float(count))
        #expect(fast.filter { $0 == 7 }.count == 2 * (4 * width - count))
        var (fastCopy, plainCopy) = (
            Self.values(2 * count, seed: 6), Self.values(2 * count, seed: 6)
        )
        kernel_copy_tile_f32(&fastCopy, fast, tile, 2, count, 4 * width)
        kernel_copy_tile_f32_scalar(&plainCopy, fast, tile, 2, count, 4 * width)
        #expect(fastCopy == plainCopy)
        #expect(fastCopy == fastValues)
    }

    @Test(arguments: lengths)
    func interleave(columns: Int) {
        let phases = Self.values(12 * 2 * columns)
        var (fast, plain) = (Self.values(24 * columns), Self.values(24 * columns, seed: 2))
        kernel_interleave_f32(&fast, phases, 3, 2, columns, 8 * columns, 2 * columns)
        kernel_interleave_f32_scalar(&plain, phases, 3, 2, columns, 8 * columns, 2 * columns)
        #expect(fast == plain)
        #expect(fast[1] == phases[3 * 2 * columns])
    }

    @Test(arguments: lengths + [1000, 1023, 1024])
    func moments(pixels: Int) {
        let x = Self.values(3 * (pixels + 2)).map { $0 + 5 }
        var (fast, plain) = ([Float](repeating: 0, count: 6), [Float](repeating: 1, count: 6))
        kernel_moments_f32(&fast, x, 3, pixels, pixels + 2)
        kernel_moments_f32_scalar(&plain, x, 3, pixels, pixels + 2)
        for (a, b) in zip(fast, plain) {
            #expect(abs(a - b) <= 3e-6 * max(1, abs(b)))
        }
    }

    @Test(arguments: lengths)
    func transpose(pixels: Int) {
        for channels in [1, 5, 16, 19] {
            let x = Self.values(channels * (pixels + 1))
            let (scale, shift) = (Self.values(channels, seed: 2), Self.values(channels, seed: 3))
            let count = pixels * (channels + 2)
            var (fast, plain) = (Self.values(count), Self.values(count))
            kernel_scale_transpose_f32(
                &fast,
                x,
                scale,
                shift,
                channels,
                pixels,
                channels + 2,
                pixels + 1
            )
            kernel_scale_transpose_f32_scalar(
                &plain,
                x,
                scale,
                shift,
                channels,
                pixels,
                channels + 2,
                pixels + 1
            )
            #expect(distance(fast, plain) < 1e-6)
            var (fastSum, plainSum) = (x, x)
            kernel_add_transposed_f32(
                &fastSum,
                plain,
                channels,
                pixels,
                pixels + 1,
                channels + 2
            )
            kernel_add_transposed_f32_scalar(
                &plainSum,
                plain,
                channels,
                pixels,
                pixels + 1,
                channels + 2
            )
            #expect(fastSum == plainSum)
            #expect(fastSum != x)
        }
    }
}
