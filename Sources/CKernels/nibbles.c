#include "include/nibbles.h"
#include "include/product.h"
#include "vector_math.h"

#include <string.h>

enum {
    COLUMNS = KERNEL_PANEL_COLUMNS,
    GROUP = 64,
    GROUP_WORDS = GROUP / 4,
    MOST_FACTOR = 18,
    /// Up to it a factor times -8 is a byte.
    WIDE_FACTOR = 15,
};

static size_t words_of_bytes(size_t inputs) { return (inputs + 3) / 4; }
static size_t factor_words(size_t words) {
    const size_t groups = (words + GROUP_WORDS - 1) / GROUP_WORDS;
    return (groups + 3) / 4;
}

ptrdiff_t kernel_nibble_words(ptrdiff_t inputs) {
    const size_t words = words_of_bytes((size_t)inputs);
    return (ptrdiff_t)(factor_words(words) + (words + 1) / 2);
}

KERNEL_INLINE float greatest_magnitude(const float *x, size_t count) {
    float greatest = 0.0f;
    for (size_t k = 0; k < count; k++) {
        const float magnitude = __builtin_fabsf(x[k]);
        greatest = magnitude > greatest ? magnitude : greatest;
    }
    return greatest;
}

KERNEL_INLINE float nearest_nibble(float x, float least) {
    const float whole = __builtin_rintf(x);
    // what is no number becomes the least
    return !(whole > least) ? least : whole > 7.0f ? 7.0f : whole;
}

KERNEL_INLINE float least_nibble(int factor) { return factor <= WIDE_FACTOR ? -8.0f : -7.0f; }

/// The squared error of a group with a factor; `step` is the output's scale times it.
KERNEL_INLINE float squared_error(const float *x, size_t count, float step, float least) {
    const float inverse = 1.0f / step;
    float sum = 0.0f;
    for (size_t k = 0; k < count; k++) {
        const float error = x[k] - step * nearest_nibble(x[k] * inverse, least);
        sum += error * error;
    }
    return sum;
}

/// The factor of the least error: from the one that reaches the greatest value downwards.
KERNEL_INLINE int best_factor(const float *x, size_t count, float scale) {
    const int top = (int)__builtin_ceilf(greatest_magnitude(x, count) / (7.0f * scale));
    const int first = top < 1 ? 1 : top > MOST_FACTOR ? MOST_FACTOR : top;
    const int last = first / 2 < 1 ? 1 : first / 2;
    int best = first;
    float least = __FLT_MAX__;
    for (int factor = first; factor >= last; factor--) {
        const float error = squared_error(x, count, scale * (float)factor, least_nibble(factor));
        if (error < least) {
            least = error;
            best = factor;
        }
    }
    return best;
}

KERNEL void kernel_quantize_nibble_columns(void *out, float *scale, int32_t *sum, const float *w,
                                           size_t outputs, size_t inputs, size_t stride) {
    const size_t words = words_of_bytes(inputs);
    uint32_t *factors = out;
    uint32_t *nibbles = factors + factor_words(words) * COLUMNS;
    memset(factors, 0, factor_words(words) * COLUMNS * sizeof *factors);
    memset(nibbles, 0x88, (words + 1) / 2 * COLUMNS * sizeof *nibbles);
    for (size_t c = 0; c < COLUMNS; c++) {
        scale[c] = 0.0f;
        sum[c] = 0;
        if (c >= outputs)
            continue;
        const float *line = w + c * stride;
        const float greatest = greatest_magnitude(line, inputs);
        if (!(greatest > 1e-30f && greatest <= __FLT_MAX__)) {
            // zeros; or what is no number, and stays none
            scale[c] = greatest > 1.0f ? greatest : 0.0f;
            continue;
        }
        scale[c] = greatest / (7.0f * MOST_FACTOR);
        for (size_t group = 0; group * GROUP < inputs; group++) {
            const size_t begin = group * GROUP;
            const size_t count = inputs - begin < GROUP ? inputs - begin : GROUP;
            const int factor = best_factor(line + begin, count, scale[c]);
            factors[group / 4 * COLUMNS + c] |= (uint32_t)factor << 8 * (group % 4);
            const float inverse = 1.0f / (scale[c] * (float)factor);
            for (size_t k = begin; k < begin + count; k++) {
                const int nibble = (int)nearest_nibble(line[k] * inverse, least_nibble(factor));
                const size_t word = k / 4;
                const unsigned shift = 8 * (k % 4) + 4 * (word % 2);
                uint32_t *to = nibbles + word / 2 * COLUMNS + c;
                *to = (*to & ~((uint32_t)15 << shift)) | (uint32_t)(nibble + 8) << shift;
                sum[c] += factor * nibble;
            }
        }
    }
}

/// Bytes of two neighbouring nibbles of one word, as 16 bits.
KERNEL_INLINE uint16_t two_bytes(uint16_t low, uint16_t high, uint16_t factor) {
    const uint16_t first = (uint16_t)((low - 8) * factor);
    const uint16_t second = (uint16_t)((high - 8) * factor);
    return (uint16_t)((first & 255) | (second << 8));
}

KERNEL void kernel_nibbles_to_bytes(void *out, const void *panel, size_t words, size_t first,
                                    size_t count) {
    const uint32_t *factors = panel;
    const uint32_t *nibbles = factors + factor_words(words) * COLUMNS;
    // Each output's word is two halves.
    uint16_t factor[2 * COLUMNS];
    uint16_t packed[2 * COLUMNS];
    uint16_t bytes[2][2 * COLUMNS];
    for (size_t g = first; g < first + count; g += 2) {
        if (g % GROUP_WORDS == 0) {
            const size_t group = g / GROUP_WORDS;
            for (size_t c = 0; c < COLUMNS; c++) {
                const uint16_t own =
                    (uint16_t)(factors[group / 4 * COLUMNS + c] >> 8 * (group % 4) & 255);
                factor[2 * c] = own;
                factor[2 * c + 1] = own;
            }
        }
        memcpy(packed, nibbles + g / 2 * COLUMNS, sizeof packed);
        for (size_t i = 0; i < 2 * COLUMNS; i++) {
            const uint16_t four = packed[i];
            bytes[0][i] = two_bytes(four & 15, four >> 8 & 15, factor[i]);
            bytes[1][i] = two_bytes(four >> 4 & 15, four >> 12, factor[i]);
        }
        uint32_t *to = (uint32_t *)out + (g - first) * COLUMNS;
        memcpy(to, bytes[0], sizeof bytes[0]);
        if (g + 1 < first + count)
            memcpy(to + COLUMNS, bytes[1], sizeof bytes[1]);
    }
}
