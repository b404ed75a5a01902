// What the kernels share: the list of instruction sets each is compiled for, and an exponential
// that vectorises.
#ifndef DREAMFARM_VECTOR_MATH_H
#define DREAMFARM_VECTOR_MATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Each kernel is compiled once an instruction set; the loader picks the best one at start.
#if defined(__x86_64__)
#define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERNEL
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

// Lanes of a reduction: sums run in this many partial sums whatever the instruction set, so that
// the order of additions, and with it every bit of the result, does not depend on the vectors.
#define LANES 16

/// exp(x) within 1.2 ulp: x = n ln 2 + r, a polynomial of degree 6 in r, n into the exponent.
/// Below -87.3 the result is 0, above 88.7 it is infinity.
KERNEL_INLINE float fast_exp(float x) {
    const float clamped = x < -87.3365447f ? -87.3365447f : (x > 88.7228394f ? 88.7228394f : x);
    const float n = __builtin_rintf(clamped * 1.44269504088896341f);
    const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    // 2^n in two halves: n reaches 128, which one exponent cannot hold.
    const int32_t whole = (int32_t)n;
    const int32_t half = whole >> 1;
    const uint32_t bits_a = (uint32_t)(half + 127) << 23;
    const uint32_t bits_b = (uint32_t)(whole - half + 127) << 23;
    float a, b;
    memcpy(&a, &bits_a, sizeof a);
    memcpy(&b, &bits_b, sizeof b);
    const float y = p * a * b;
    return x < -87.3365447f ? 0.0f : y;
}

/// A float32's bits rounded to bfloat16, ties to even.
KERNEL_INLINE uint32_t bf16_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
}

KERNEL_INLINE float sum_lanes(const float lanes[LANES]) {
    float part[LANES];
    memcpy(part, lanes, sizeof part);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            part[i] += part[i + width];
    return part[0];
}

/// Mean of `count` values, and the sum of their squared distances from it.
KERNEL_INLINE void moments_of(float *mean_out, float *squares_out, const float *x, size_t count) {
    const size_t whole = count / LANES * LANES;
    float lanes[LANES] = {0};
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += x[i + l];
    for (size_t i = whole; i < count; i++)
        lanes[i - whole] += x[i];
    const float mean = sum_lanes(lanes) / (float)count;
    float squares[LANES] = {0};
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            const float d = x[i + l] - mean;
            squares[l] += d * d;
        }
    for (size_t i = whole; i < count; i++) {
        const float d = x[i] - mean;
        squares[i - whole] += d * d;
    }
    *mean_out = mean;
    *squares_out = sum_lanes(squares);
}

#endif
