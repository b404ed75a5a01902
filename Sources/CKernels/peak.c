#include "include/peak.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Enough independent sums to hide an instruction's latency.
#define SUMS 12

// The sums are inputs and outputs of each round's end, so that no round can be left out.
#define ROUNDS(TYPE, ZERO, STEP)                                                                   \
    TYPE s0 = ZERO, s1 = ZERO, s2 = ZERO, s3 = ZERO, s4 = ZERO, s5 = ZERO, s6 = ZERO, s7 = ZERO,   \
         s8 = ZERO, s9 = ZERO, s10 = ZERO, s11 = ZERO;                                             \
    for (uint64_t i = 0; i < rounds; i++) {                                                        \
        s0 = STEP(s0), s1 = STEP(s1), s2 = STEP(s2), s3 = STEP(s3), s4 = STEP(s4), s5 = STEP(s5);  \
        s6 = STEP(s6), s7 = STEP(s7), s8 = STEP(s8), s9 = STEP(s9), s10 = STEP(s10),               \
        s11 = STEP(s11);                                                                           \
        __asm__ volatile(""                                                                        \
                         : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6),   \
                           "+v"(s7), "+v"(s8), "+v"(s9), "+v"(s10), "+v"(s11));                    \
    }                                                                                              \
    return (double)rounds * SUMS * (double)(sizeof(TYPE) / 4)

#define STEP_F32_256(s) _mm256_fmadd_ps(a, a, s)
#define STEP_I8_256(s) _mm256_add_epi32(s, _mm256_madd_epi16(b, b))
#define STEP_F32_512(s) _mm512_fmadd_ps(a, a, s)
#define STEP_I8_512(s) _mm512_add_epi32(s, _mm512_madd_epi16(b, b))
#define STEP_VNNI(s) _mm512_dpbusd_epi32(s, b, b)
#define STEP_BF16(s) _mm512_dpbf16_ps(s, (__m512bh)b, (__m512bh)b)

__attribute__((target("avx2,fma"))) static double peak_f32_256(uint64_t rounds) {
    const __m256 a = _mm256_set1_ps(1e-20f);
    ROUNDS(__m256, _mm256_setzero_ps(), STEP_F32_256) * 2;
}

__attribute__((target("avx2"))) static double peak_i8_256(uint64_t rounds) {
    const __m256i b = _mm256_setzero_si256();
    ROUNDS(__m256i, _mm256_setzero_si256(), STEP_I8_256) * 4;
}

__attribute__((target("avx512f"))) static double peak_f32_512(uint64_t rounds) {
    const __m512 a = _mm512_set1_ps(1e-20f);
    ROUNDS(__m512, _mm512_setzero_ps(), STEP_F32_512) * 2;
}

__attribute__((target("avx512f,avx512bw"))) static double peak_i8_512(uint64_t rounds) {
    const __m512i b = _mm512_setzero_si512();
    ROUNDS(__m512i, _mm512_setzero_si512(), STEP_I8_512) * 4;
}

__attribute__((target("avx512f,avx512vnni"))) static double peak_vnni(uint64_t rounds) {
    const __m512i b = _mm512_setzero_si512();
    ROUNDS(__m512i, _mm512_setzero_si512(), STEP_VNNI) * 8;
}

__attribute__((target("avx512f,avx512bf16"))) static double peak_bf16(uint64_t rounds) {
    const __m512i b = _mm512_setzero_si512();
    ROUNDS(__m512, _mm512_setzero_ps(), STEP_BF16) * 4;
}
#endif

static double peak_scalar(uint64_t rounds) {
    float sum = 0.0f;
    for (uint64_t i = 0; i < rounds; i++) {
        sum = sum * 0.5f + 1.0f;
        __asm__ volatile("" : "+m"(sum));
    }
    return 2.0 * (double)rounds;
}

double kernel_peak_operations(kernel_format format, uint64_t rounds, kernel_level level) {
#if defined(__x86_64__)
    if (format == KERNEL_FORMAT_I8 && level >= KERNEL_LEVEL_AVX512_VNNI)
        return peak_vnni(rounds);
    if (format == KERNEL_FORMAT_BF16 && level >= KERNEL_LEVEL_AVX512_BF16)
        return peak_bf16(rounds);
    if (format == KERNEL_FORMAT_I8 && level >= KERNEL_LEVEL_AVX512)
        return peak_i8_512(rounds);
    if (format == KERNEL_FORMAT_I8 && level >= KERNEL_LEVEL_AVX2)
        return peak_i8_256(rounds);
    if (level >= KERNEL_LEVEL_AVX512)
        return peak_f32_512(rounds);
    if (level >= KERNEL_LEVEL_AVX2)
        return peak_f32_256(rounds);
#endif
    return peak_scalar(rounds);
}
