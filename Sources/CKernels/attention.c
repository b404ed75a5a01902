#include "include/attention.h"
#include "include/pack.h"
#include "tiles.h"
#include "vector_math.h"

// Keys of a run: what is read of keys and values stays in the second-level cache while all queries
// of a call pass over it.
#define RUN 512
// A row of weights, a cache line longer than a run so that rows do not meet in one set.
#define WEIGHT_STRIDE (RUN + 16)

/// The width, filled to whole panels.
INLINE size_t padded(size_t width) {
    return (width + KERNEL_PANEL_COLUMNS - 1) / KERNEL_PANEL_COLUMNS * KERNEL_PANEL_COLUMNS;
}

size_t kernel_attention_room(size_t width) {
    const size_t values = KERNEL_PANEL_ROWS * (2 * RUN + WEIGHT_STRIDE) +
                          2 * KERNEL_ATTENTION_QUERIES * padded(width) +
                          4 * KERNEL_ATTENTION_QUERIES;
    return values * sizeof(float);
}

/// 2^x for x <= 0, within 1.5 ulp; 0 below -126.
KERNEL_INLINE float fast_exp2(float x) {
    const float clamped = x < -126.0f ? -126.0f : x;
    const float n = __builtin_rintf(clamped);
    const float r = clamped - n;
    float p = 1.535336188319500e-4f;
    p = p * r + 1.339887440266574e-3f;
    p = p * r + 9.618437357674640e-3f;
    p = p * r + 5.550332471162809e-2f;
    p = p * r + 2.402264791363012e-1f;
    p = p * r + 6.931472028550421e-1f;
    p = p * r + 1.0f;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -126.0f ? 0.0f : p * power;
}

/// One row of a run: the weights 2^(factor * logit - top) of `count` keys, zero up to `filled`, a
/// whole number of vectors. top and total are the row's so far; what was summed under the old top
/// is to be multiplied by the result.
KERNEL_INLINE float weigh(void *weights, float *logits, size_t count, size_t filled, float factor,
                          float *top, float *total, kernel_format format) {
    for (size_t k = count; k < filled; k++)
        logits[k] = -INFINITY;
    float high[LANES];
    for (size_t l = 0; l < LANES; l++)
        high[l] = -INFINITY;
    for (size_t k = 0; k < filled; k += LANES)
        for (size_t l = 0; l < LANES; l++)
            high[l] = logits[k + l] > high[l] ? logits[k + l] : high[l];
    float greatest = high[0];
    for (size_t l = 1; l < LANES; l++)
        greatest = high[l] > greatest ? high[l] : greatest;
    const float above = factor * greatest > *top ? factor * greatest : *top;
    float lanes[LANES] = {0};
    if (format == KERNEL_FORMAT_F32) {
        float *out = weights;
        for (size_t k = 0; k < filled; k += LANES)
            for (size_t l = 0; l < LANES; l++) {
                const float weight = fast_exp2(factor * logits[k + l] - above);
                lanes[l] += weight;
                out[k + l] = weight;
            }
    } else {
        uint16_t *out = weights;
        for (size_t k = 0; k < filled; k += LANES)
            for (size_t l = 0; l < LANES; l++) {
                const float weight = fast_exp2(factor * logits[k + l] - above);
                lanes[l] += weight;
                out[k + l] = (uint16_t)bf16_of(weight);
            }
    }
    const float rescale = fast_exp2(*top - above);
    *total = *total * rescale + sum_lanes(lanes);
    *top = above;
    return rescale;
}

KERNEL static void weigh_rows(uint32_t *weights, float *logits, float *sums, size_t sums_stride,
                              size_t count, size_t filled, float factor, float *top, float *total,
                              kernel_format format) {
    for (size_t r = 0; r < KERNEL_PANEL_ROWS; r++) {
        const float rescale = weigh(weights + r * WEIGHT_STRIDE, logits + r * RUN, count, filled,
                                    factor, top + r, total + r, format);
        if (rescale != 1.0f) {
            float *row = sums + r * sums_stride;
            for (size_t c = 0; c < sums_stride; c++)
                row[c] *= rescale;
        }
    }
}

KERNEL static void copy_queries(uint32_t *out, const float *q, size_t queries, size_t rows,
                                size_t width, size_t stride, size_t words, kernel_format format) {
    memset(out, 0, rows * words * sizeof *out);
    for (size_t r = 0; r < queries; r++) {
        const float *from = q + r * stride;
        if (format == KERNEL_FORMAT_F32) {
            memcpy(out + r * words, from, width * sizeof *from);
        } else {
            uint16_t *to = (uint16_t *)(out + r * words);
            for (size_t c = 0; c < width; c++)
                to[c] = (uint16_t)bf16_of(from[c]);
        }
    }
}

/// The logits of bytes' products: rows (KERNEL_PANEL_ROWS, RUN).
KERNEL static void scale_logits(float *logits, const int32_t *sums, size_t filled,
                                kernel_scales scales) {
    for (size_t r = 0; r < KERNEL_PANEL_ROWS; r++) {
        const float scale = scales.row_scale[r];
        const int32_t zero = scales.row_zero[r];
        const int32_t *from = sums + r * RUN;
        float *to = logits + r * RUN;
        for (size_t k = 0; k < filled; k++)
            to[k] = scale * scales.column_scale[k] * (float)(from[k] - zero * scales.column_sum[k]);
    }
}

KERNEL static void divide_rows(float *out, size_t stride, const float *sums, size_t sums_stride,
                               const float *total, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++) {
        const float inverse = 1.0f / total[r];
        for (size_t c = 0; c < width; c++)
            out[r * stride + c] = sums[r * sums_stride + c] * inverse;
    }
}

void kernel_attention(float *out, size_t out_stride, const float *q, size_t q_stride,
                      kernel_keys keys, const void *values, size_t queries, size_t key_count,
                      size_t width, float scale, kernel_format format, void *room,
                      kernel_level level) {
    const tile_set *tiles = tiles_of(level);
    const kernel_format weight_format = format == KERNEL_FORMAT_I8 ? KERNEL_FORMAT_BF16 : format;
    float_tile *tile = format == KERNEL_FORMAT_F32 ? tiles->f32_rows : tiles->bf16_rows;
    const size_t values_a_word = (size_t)1 << weight_format;
    const size_t words = (width + ((size_t)1 << format) - 1) >> format;
    const size_t across = padded(width);
    const size_t panels = (queries + KERNEL_PANEL_ROWS - 1) / KERNEL_PANEL_ROWS;
    const size_t rows = panels * KERNEL_PANEL_ROWS;
    const size_t value_words = (key_count + KERNEL_PANEL_COLUMNS - 1) / KERNEL_PANEL_COLUMNS *
                               KERNEL_PANEL_COLUMNS / values_a_word;
    const float factor = scale * 1.44269504088896341f;

    float *logits = room;
    uint32_t *weights = (uint32_t *)(logits + KERNEL_PANEL_ROWS * RUN);
    uint32_t *left = weights + KERNEL_PANEL_ROWS * WEIGHT_STRIDE;
    float *sums = (float *)(left + KERNEL_ATTENTION_QUERIES * across);
    float *top = sums + KERNEL_ATTENTION_QUERIES * across;
    float *total = top + KERNEL_ATTENTION_QUERIES;
    float *row_scale = total + KERNEL_ATTENTION_QUERIES;
    int32_t *row_zero = (int32_t *)(row_scale + KERNEL_ATTENTION_QUERIES);
    int32_t *products = row_zero + KERNEL_ATTENTION_QUERIES;
    if (format == KERNEL_FORMAT_I8)
        for (size_t row = 0; row < rows; row += KERNEL_PANEL_ROWS) {
            const size_t count = queries - row;
            kernel_quantize_rows(
                left + row * words, row_scale + row, row_zero + row, q + row * q_stride,
                count < KERNEL_PANEL_ROWS ? count : KERNEL_PANEL_ROWS, width, q_stride);
        }
    else
        copy_queries(left, q, queries, rows, width, q_stride, words, format);
    memset(sums, 0, rows * across * sizeof *sums);
    for (size_t r = 0; r < rows; r++) {
        top[r] = -INFINITY;
        total[r] = 0.0f;
    }

    for (size_t first = 0; first < key_count; first += RUN) {
        const size_t count = key_count - first < RUN ? key_count - first : RUN;
        const size_t filled = padded(count);
        const uint32_t *key_panels = (const uint32_t *)keys.panels + first * words;
        const uint32_t *value_rows =
            (const uint32_t *)values + first / values_a_word * KERNEL_PANEL_COLUMNS;
        for (size_t p = 0; p < panels; p++) {
            const size_t row = p * KERNEL_PANEL_ROWS;
            float *own = sums + row * across;
            if (format == KERNEL_FORMAT_I8) {
                for (size_t k = 0; k < filled; k += KERNEL_PANEL_COLUMNS)
                    tiles->i8(products + k, RUN, left + row * words, key_panels + k * words, words,
                              0);
                const kernel_scales scales = {row_scale + row, row_zero + row, keys.scale + first,
                                              keys.sum + first};
                scale_logits(logits, products, filled, scales);
            } else {
                for (size_t k = 0; k < filled; k += KERNEL_PANEL_COLUMNS)
                    tile(logits + k, RUN, left + row * words, words, key_panels + k * words, words,
                         0);
            }
            weigh_rows(weights, logits, own, across, count, filled, factor, top + row, total + row,
                       weight_format);
            for (size_t c = 0; c < across; c += KERNEL_PANEL_COLUMNS)
                tile(own + c, across, weights, WEIGHT_STRIDE, value_rows + c * value_words,
                     filled / values_a_word, 1);
        }
    }
    divide_rows(out, out_stride, sums, across, total, queries, width);
}
