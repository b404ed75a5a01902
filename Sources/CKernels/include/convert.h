#ifndef KERNELS_CONVERT_H
#define KERNELS_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Widening and narrowing of stored weights. Every array is (n); inputs may be unaligned.

/// out[i] = in[i] for bfloat16.
void kernel_widen_bf16(float *out, const void *in, size_t n);

/// out[i] = in[i] for IEEE half precision, subnormals and infinities included.
void kernel_widen_f16(float *out, const void *in, size_t n);
/// The scalar twin of `kernel_widen_f16`.
void kernel_widen_f16_scalar(float *out, const void *in, size_t n);

/// out[i] = in[i] * scale for float8 e4m3fn: 4 exponent bits, no infinities, NaN is 0x7f and 0xff.
void kernel_widen_e4m3(float *out, const void *in, float scale, size_t n);

/// out[i] = in[i] * scale for float8 e5m2: 5 exponent bits, infinities and NaN as IEEE's.
void kernel_widen_e5m2(float *out, const void *in, float scale, size_t n);

/// out[i] = in[i] rounded to bfloat16, ties to even; NaN stays NaN.
void kernel_narrow_bf16(void *out, const float *in, size_t n);

/// The index of the first NaN or infinity of in, or n when every value is finite.
size_t kernel_first_nonfinite_f32(const float *in, size_t n);
/// The scalar twin of `kernel_first_nonfinite_f32`.
size_t kernel_first_nonfinite_f32_scalar(const float *in, size_t n);

#ifdef __cplusplus
}
#endif

#endif
