#include "pixels.h"

#include <math.h>

void kernel_rgb8_from_planes_f32(uint8_t *out, const float *x, size_t pixels, size_t stride) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < 3; c++) {
            const float half = x[c * stride + p] / 2.0f + 0.5f;
            const float clamped = half < 0.0f ? 0.0f : (half > 1.0f ? 1.0f : half);
            out[3 * p + c] = (uint8_t)rintf(clamped * 255.0f);
        }
}

void kernel_planes_from_rgb8_f32(float *out, const uint8_t *x, size_t pixels, size_t stride) {
    for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < pixels; p++)
            out[c * stride + p] = (float)x[3 * p + c] / 255.0f * 2.0f - 1.0f;
}

const char *kernel_instruction_set(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("x86-64-v4"))
        return "x86-64-v4";
    if (__builtin_cpu_supports("x86-64-v3"))
        return "x86-64-v3";
#endif
    return "baseline";
}
