#include "include/reduction.h"
#include "vector_math.h"

// Values that are summed at a time, all parts of them in the first-level cache.
#define BLOCK 1024

KERNEL_INLINE float widened(uint16_t value) {
    const uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

// bf16_of for values that may be NaN, which stays NaN.
KERNEL_INLINE uint16_t narrowed(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t quiet = (bits >> 16) | 0x40;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : bf16_of(value));
}

// values[i] = the ranks' values before + values[i], for one block.
KERNEL_INLINE void add_to_ranks_before(float *values, const float *before, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = before[i] + values[i];
}

KERNEL_INLINE void sum_f32(float *values, const float *const *parts, size_t count, size_t place,
                           size_t start, size_t n) {
    float before[BLOCK];
    if (place > 0) {
        memcpy(before, parts[0] + start, n * sizeof *before);
        for (size_t p = 1; p < place; p++)
            for (size_t i = 0; i < n; i++)
                before[i] += parts[p][start + i];
        add_to_ranks_before(values, before, n);
    }
    for (size_t p = place; p < count; p++)
        for (size_t i = 0; i < n; i++)
            values[i] += parts[p][start + i];
}

KERNEL_INLINE void sum_bf16(float *values, const uint16_t *const *parts, size_t count, size_t place,
                            size_t start, size_t n) {
    float before[BLOCK];
    if (place > 0) {
        for (size_t i = 0; i < n; i++)
            before[i] = widened(parts[0][start + i]);
        for (size_t p = 1; p < place; p++)
            for (size_t i = 0; i < n; i++)
                before[i] += widened(parts[p][start + i]);
        add_to_ranks_before(values, before, n);
    }
    for (size_t p = place; p < count; p++)
        for (size_t i = 0; i < n; i++)
            values[i] += widened(parts[p][start + i]);
}

// values (n), parts (count, n)
KERNEL void kernel_sum_ranks_f32(float *values, const float *const *parts, size_t count,
                                 size_t place, size_t n) {
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t block = n - start < BLOCK ? n - start : BLOCK;
        sum_f32(values + start, parts, count, place, start, block);
    }
}

// values (n), rounded (n), parts (count, n)
KERNEL void kernel_sum_ranks_bf16(float *values, uint16_t *rounded, const uint16_t *const *parts,
                                  size_t count, size_t place, size_t n) {
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t block = n - start < BLOCK ? n - start : BLOCK;
        float *sums = values + start;
        sum_bf16(sums, parts, count, place, start, block);
        for (size_t i = 0; i < block; i++) {
            const uint16_t half = narrowed(sums[i]);
            rounded[start + i] = half;
            sums[i] = widened(half);
        }
    }
}

// values (n), parts (count, n)
void kernel_sum_ranks_f32_scalar(float *values, const float *const *parts, size_t count,
                                 size_t place, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float sum = place > 0 ? parts[0][i] : values[i];
        for (size_t rank = 1; rank <= count; rank++)
            sum += rank == place ? values[i] : parts[rank < place ? rank : rank - 1][i];
        values[i] = sum;
    }
}

// values (n), rounded (n), parts (count, n)
void kernel_sum_ranks_bf16_scalar(float *values, uint16_t *rounded, const uint16_t *const *parts,
                                  size_t count, size_t place, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float sum = place > 0 ? widened(parts[0][i]) : values[i];
        for (size_t rank = 1; rank <= count; rank++)
            sum += rank == place ? values[i] : widened(parts[rank < place ? rank : rank - 1][i]);
        rounded[i] = narrowed(sum);
        values[i] = widened(rounded[i]);
    }
}
