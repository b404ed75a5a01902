/// Float32 logarithm, sine and cosine by Cephes' polynomials, the same on every machine.
///
/// The multiplications that are fused with the addition after them are those that PyTorch's AVX2
/// build fuses (`aten/src/ATen/native/cpu/avx_mathfun.h`), so that results are equal bit for bit.
enum CephesFloat {
    /// Returns the natural logarithm of a positive normal number.
    static func logarithm(_ value: Float) -> Float {
        var exponent = Float(Int32(value.bitPattern >> 23) - 126)
        // The significand, scaled into 0.5 ..< 1.
        var x = Float(bitPattern: (value.bitPattern & 0x007f_ffff) | 0x3f00_0000)
        if x < 0.707106781186547524 {
            exponent -= 1
            x = x - 1 + x
        } else {
            x -= 1
        }
        let square = x * x
        var y: Float = 7.0376836292e-2
        y = fused(y, x, -1.1514610310e-1)
        y = fused(y, x, 1.1676998740e-1)
        y = fused(y, x, -1.2420140846e-1)
        y = fused(y, x, 1.4249322787e-1)
        y = fused(y, x, -1.6668057665e-1)
        y = fused(y, x, 2.0000714765e-1)
        y = fused(y, x, -2.4999993993e-1)
        y = fused(y, x, 3.3333331174e-1)
        y = fused(y * x, square, exponent * -2.12194440e-4)
        y = fused(-square, 0.5, y)
        return fused(exponent, 0.693359375, x + y)
    }

    /// Returns the sine and cosine of an angle from 0 to 8192.
    static func sineCosine(_ angle: Float) -> (sine: Float, cosine: Float) {
        // The octant, made even; the angle is reduced by that many eighths in three parts.
        let octant = (Int32(angle * 1.27323954473516) + 1) & ~1
        let eighths = Float(octant)
        var x = fused(eighths, -0.78515625, angle)
        x = fused(eighths, -2.4187564849853515625e-4, x)
        x = fused(eighths, -3.77489497744594108e-8, x)
        let square = x * x

        var even: Float = 2.443315711809948e-5
        even = fused(even, square, -1.388731625493765e-3)
        even = fused(even, square, 4.166664568298827e-2)
        even = fused(even * square, square, -(square * 0.5)) + 1

        var odd: Float = -1.9515295891e-4
        odd = fused(odd, square, 8.3321608736e-3)
        odd = fused(odd, square, -1.6666654611e-1)
        odd = fused(odd * square, x, x)

        let isSwapped = octant & 2 != 0
        let sine = isSwapped ? even : odd
        let cosine = isSwapped ? odd : even
        return (
            octant & 4 == 0 ? sine : -sine,
            (octant &- 2) & 4 != 0 ? cosine : -cosine
        )
    }

    /// Returns `a * b + c`, rounded once.
    private static func fused(_ a: Float, _ b: Float, _ c: Float) -> Float {
        c.addingProduct(a, b)
    }
}
