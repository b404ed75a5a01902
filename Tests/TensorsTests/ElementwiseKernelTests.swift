import CKernels
import Testing

/// The kernels of the networks against their plain twins, for every length round the vectors.
@Suite
struct ElementwiseKernelTests {
    private static let activations = [
        KERNEL_IDENTITY, KERNEL_GELU_TANH, KERNEL_SILU, KERNEL_QUICK_GELU,
    ]

    @Test(arguments: 0...70)
    func biasAndActivation(columns: Int) {
        for activation in Self.activations {
            for biased in [true, false] {
                let start = TestMatrix(3, columns, gap: 3, seed: 1)
                let bias = biased ? patternless(columns, seed: 2) : nil
                var (fast, plain) = (start, start)
                kernel_bias_activation_f32(&fast.values, bias, 3, columns, fast.stride, activation)
                kernel_bias_activation_f32_scalar(
                    &plain.values,
                    bias,
                    3,
                    columns,
                    plain.stride,
                    activation
                )
                #expect(fast.problem(plain, start: start) == nil)
            }
        }
    }

    @Test("activations have their limits far from zero")
    func extremes() {
        let far: [Float] = [-1e4, -200, -100, -50, -10, 0, 10, 50, 100, 200, 1e4]
        for activation in Self.activations.dropFirst() {
            var values = far
            kernel_bias_activation_f32(&values, nil, 1, far.count, far.count, activation)
            for (value, x) in zip(values, far) {
                #expect(abs(value - max(x, 0)) <= 5e-4, "\(x) became \(value)")
            }
        }
    }

    @Test(arguments: 0...70)
    func layerNorm(columns: Int) {
        for offset in [Float(0), 1] {
            let start = TestMatrix(3, columns, gap: 1, seed: 3)
            let x = TestMatrix(3, columns, gap: 5, seed: 4)
            let (scale, shift) = (patternless(columns, seed: 5), patternless(columns, seed: 6))
            var (fast, plain) = (start, start)
            kernel_layer_norm_f32(
                &fast.values,
                x.values,
                scale,
                shift,
                3,
                columns,
                fast.stride,
                x.stride,
                offset,
                1e-6
            )
            kernel_layer_norm_f32_scalar(
                &plain.values,
                x.values,
                scale,
                shift,
                3,
                columns,
                plain.stride,
                x.stride,
                offset,
                1e-6
            )
            #expect(fast.problem(plain, start: start, tolerance: 5e-6) == nil)
        }
    }

    @Test(arguments: 0...70)
    func rmsNorm(columns: Int) {
        let start = TestMatrix(3, columns, gap: 1, seed: 3)
        let x = TestMatrix(3, columns, gap: 5, seed: 4)
        let weight = patternless(columns, seed: 5)
        var (fast, plain) = (start, start)
        kernel_rms_norm_f32(
            &fast.values,
            x.values,
            weight,
            3,
            columns,
            fast.stride,
            x.stride,
            1e-6
        )
        kernel_rms_norm_f32_scalar(
            &plain.values,
            x.values,
            weight,
            3,
            columns,
            plain.stride,
            x.stride,
            1e-6
        )
        #expect(fast.problem(plain, start: start) == nil)
    }

    @Test(arguments: 1...35)
    func headNormRope(pairs: Int) {
        let (tokens, heads) = (3, 3)
        let start = TestMatrix(tokens, heads * 2 * pairs, gap: 7, seed: 1)
        let weight = patternless(2 * pairs, seed: 2)
        let (cosine, sine) = (patternless(tokens * pairs), patternless(tokens * pairs, seed: 3))
        var (fast, plain) = (start, start)
        kernel_head_norm_rope_f32(
            &fast.values,
            weight,
            cosine,
            sine,
            tokens,
            heads,
            2 * pairs,
            fast.stride,
            1e-6
        )
        kernel_head_norm_rope_f32_scalar(
            &plain.values,
            weight,
            cosine,
            sine,
            tokens,
            heads,
            2 * pairs,
            plain.stride,
            1e-6
        )
        #expect(fast.problem(plain, start: start) == nil)
    }

    @Test("softmax with and without a bias, with and without a mask", arguments: 0...70)
    func softmax(columns: Int) {
        for visible in [columns, 1, 3, 30] {
            for biased in [true, false] {
                let start = TestMatrix(5, columns, gap: 3, seed: 7)
                let bias = TestMatrix(5, columns, gap: 1, seed: 8)
                var (fast, plain) = (start, start)
                kernel_softmax_f32(
                    &fast.values,
                    biased ? bias.values : nil,
                    5,
                    columns,
                    fast.stride,
                    bias.stride,
                    visible,
                    2.75
                )
                kernel_softmax_f32_scalar(
                    &plain.values,
                    biased ? bias.values : nil,
                    5,
                    columns,
                    plain.stride,
                    bias.stride,
                    visible,
                    2.75
                )
                #expect(fast.problem(plain, start: start) == nil)
                guard columns > 0 else { continue }
                for row in 0..<5 {
                    let values = fast.values[row * fast.stride..<row * fast.stride + columns]
                    #expect(abs(values.reduce(0, +) - 1) < 1e-5)
                    #expect(values.dropFirst(visible + row).allSatisfy { $0 == 0 })
                }
            }
        }
    }

    @Test("softmax of far apart logits neither overflows nor loses its sum")
    func farLogits() {
        var values: [Float] = [-3000, 200, 3000, 2999, -.greatestFiniteMagnitude]
        kernel_softmax_f32(&values, nil, 1, 5, 5, 0, 5, 1)
        #expect(values[0] == 0 && values[1] == 0 && values[4] == 0)
        #expect(abs(values[2] - 0.731_058_6) < 1e-6)
        #expect(abs(values[3] - 0.268_941_4) < 1e-6)
    }

    @Test(arguments: 0...70)
    func sumsAndProducts(columns: Int) {
        let start = TestMatrix(3, columns, gap: 1, seed: 1)
        let y = TestMatrix(3, columns, gap: 4, seed: 2)
        for gate in [nil, patternless(columns, seed: 3)] {
            var (fast, plain) = (start, start)
            kernel_add_gated_f32(
                &fast.values,
                y.values,
                gate,
                3,
                columns,
                fast.stride,
                y.stride
            )
            kernel_add_gated_f32_scalar(
                &plain.values,
                y.values,
                gate,
                3,
                columns,
                plain.stride,
                y.stride
            )
            #expect(fast.problem(plain, start: start) == nil)
        }
        var (fast, plain) = (start, start)
        kernel_multiply_f32(&fast.values, y.values, 3, columns, fast.stride, y.stride)
        kernel_multiply_f32_scalar(&plain.values, y.values, 3, columns, plain.stride, y.stride)
        #expect(fast.problem(plain, start: start) == nil)
    }

    @Test("one row of a second matrix is added to all when its stride is 0")
    func broadcast() {
        let start = TestMatrix(3, 19, gap: 2, seed: 1)
        let y = patternless(19, seed: 2)
        var fast = start
        kernel_add_gated_f32(&fast.values, y, nil, 3, 19, fast.stride, 0)
        for index in 0..<3 * start.stride {
            let column = index % start.stride
            let added = column < 19 ? y[column] : 0
            #expect(fast.values[index] == start.values[index] + added)
        }
    }
}
