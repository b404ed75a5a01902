#ifndef DREAMFARM_PIXELS_H
#define DREAMFARM_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// out[3 p + c] = round(clamp(x[c, p] / 2 + 0.5, 0, 1) * 255), halves to even; out is (pixels, 3),
/// x is (3, pixels) with `stride` between its channels.
void kernel_rgb8_from_planes_f32(uint8_t *out, const float *x, size_t pixels, size_t stride);

/// out[c, p] = x[3 p + c] / 255 * 2 - 1; out is (3, pixels) with `stride` between its channels,
/// x is (pixels, 3).
void kernel_planes_from_rgb8_f32(float *out, const uint8_t *x, size_t pixels, size_t stride);

/// The instruction set the kernels run with on this processor: "x86-64-v4", "x86-64-v3" or
/// "baseline".
const char *kernel_instruction_set(void);

#ifdef __cplusplus
}
#endif

#endif
