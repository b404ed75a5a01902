#include "include/convert.h"
#include "vector_math.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint16_t load_u16(const uint8_t *in) {
    uint16_t value;
    memcpy(&value, in, sizeof value);
    return value;
}

// out (n), in (n)
KERNEL void kernel_widen_bf16(float *out, const void *in, size_t n) {
    const uint8_t *bytes = in;
    for (size_t i = 0; i < n; i++) {
        out[i] = float_of_bits((uint32_t)load_u16(bytes + 2 * i) << 16);
    }
}

static inline float float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 0x1f;
    uint32_t mantissa = half & 0x3ff;
    if (exponent == 0) {
        // Zero or subnormal: mantissa · 2⁻²⁴ is exact in float32.
        float magnitude = (float)mantissa * 0x1p-24f;
        return float_of_bits(bits_of_float(magnitude) | sign);
    }
    if (exponent == 0x1f) {
        return float_of_bits(sign | 0x7f800000u | (mantissa << 13));
    }
    return float_of_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// out (n), in (n)
void kernel_widen_f16_scalar(float *out, const void *in, size_t n) {
    const uint8_t *bytes = in;
    for (size_t i = 0; i < n; i++) {
        out[i] = float_of_half(load_u16(bytes + 2 * i));
    }
}

#if defined(__x86_64__)
// out (n), in (n); eight at a time.
__attribute__((target("avx,f16c"))) static void widen_f16_f16c(float *out, const void *in,
                                                               size_t n) {
    const uint8_t *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i halves = _mm_loadu_si128((const __m128i *)(bytes + 2 * i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
    }
    kernel_widen_f16_scalar(out + i, bytes + 2 * i, n - i);
}
#endif

// out (n), in (n)
void kernel_widen_f16(float *out, const void *in, size_t n) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("f16c") && __builtin_cpu_supports("avx")) {
        widen_f16_f16c(out, in, n);
        return;
    }
#endif
    kernel_widen_f16_scalar(out, in, n);
}

static float e4m3_values[256];
static float e5m2_values[256];
static pthread_once_t tables_made = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t code = 0; code < 256; code++) {
        // e5m2 is the upper byte of a half.
        e5m2_values[code] = float_of_half((uint16_t)(code << 8));

        uint32_t sign = (code & 0x80) << 24;
        uint32_t exponent = (code >> 3) & 0xf;
        uint32_t mantissa = code & 0x7;
        if ((code & 0x7f) == 0x7f) {
            e4m3_values[code] = float_of_bits(sign | 0x7fc00000u);
        } else if (exponent == 0) {
            e4m3_values[code] = float_of_bits(bits_of_float((float)mantissa * 0x1p-9f) | sign);
        } else {
            e4m3_values[code] = float_of_bits(sign | ((exponent + 120) << 23) | (mantissa << 20));
        }
    }
}

static void widen_by_table(float *out, const uint8_t *in, const float *table, float scale,
                           size_t n) {
    for (size_t i = 0; i < n; i++) {
        out[i] = table[in[i]] * scale;
    }
}

// out (n), in (n)
void kernel_widen_e4m3(float *out, const void *in, float scale, size_t n) {
    pthread_once(&tables_made, make_tables);
    widen_by_table(out, in, e4m3_values, scale, n);
}

// out (n), in (n)
void kernel_widen_e5m2(float *out, const void *in, float scale, size_t n) {
    pthread_once(&tables_made, make_tables);
    widen_by_table(out, in, e5m2_values, scale, n);
}

// out (n), in (n)
KERNEL void kernel_narrow_bf16(void *out, const float *in, size_t n) {
    uint8_t *bytes = out;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of_float(in[i]);
        uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        uint32_t quiet = (bits >> 16) | 0x40;
        uint16_t value = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
        memcpy(bytes + 2 * i, &value, sizeof value);
    }
}

// in (n)
size_t kernel_first_nonfinite_f32_scalar(const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if ((bits_of_float(in[i]) & 0x7f800000u) == 0x7f800000u) {
            return i;
        }
    }
    return n;
}

// in (n); looks at blocks of 1024 without a branch, then for the index in the block that has one.
size_t kernel_first_nonfinite_f32(const float *in, size_t n) {
    const size_t block = 1024;
    size_t start = 0;
    for (; start + block <= n; start += block) {
        uint32_t found = 0;
        for (size_t i = start; i < start + block; i++) {
            found |= (bits_of_float(in[i]) & 0x7f800000u) == 0x7f800000u;
        }
        if (found) {
            break;
        }
    }
    return start + kernel_first_nonfinite_f32_scalar(in + start, n - start);
}
