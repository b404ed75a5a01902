#include "include/pack.h"
#include "vector_math.h"

KERNEL_INLINE float float_of_bf16(uint16_t value) {
    const uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/// The words of a row of values in a format.
KERNEL_INLINE size_t words_of(size_t columns, kernel_format format) {
    const size_t values = (size_t)1 << format;
    return (columns + values - 1) / values;
}

// Word g of a row, `steps` words from one to the next, goes to out[g * steps].
KERNEL_INLINE void pack_line(uint32_t *out, const float *x, size_t columns, size_t step,
                             kernel_format format) {
    if (format == KERNEL_FORMAT_F32) {
        for (size_t k = 0; k < columns; k++)
            memcpy(out + k * step, x + k, sizeof *out);
        return;
    }
    const size_t pairs = columns / 2;
    for (size_t g = 0; g < pairs; g++)
        out[g * step] = bf16_of(x[2 * g]) | bf16_of(x[2 * g + 1]) << 16;
    if (columns % 2)
        out[pairs * step] = bf16_of(x[columns - 1]);
}

KERNEL_INLINE void clear_line(uint32_t *out, size_t words, size_t step) {
    for (size_t g = 0; g < words; g++)
        out[g * step] = 0;
}

KERNEL void kernel_pack_rows(void *out, const float *x, size_t rows, size_t columns, size_t stride,
                             kernel_format format) {
    uint32_t *panel = out;
    for (size_t r = 0; r < rows; r++)
        pack_line(panel + r, x + r * stride, columns, KERNEL_PANEL_ROWS, format);
    for (size_t r = rows; r < KERNEL_PANEL_ROWS; r++)
        clear_line(panel + r, words_of(columns, format), KERNEL_PANEL_ROWS);
}

/// How a row's values become bytes.
typedef struct quantizer {
    float scale;
    float inverse;
    int32_t zero;
} quantizer;

KERNEL_INLINE quantizer quantizer_of(float least, float greatest) {
    least = least < 0.0f ? least : 0.0f;
    greatest = greatest > 0.0f ? greatest : 0.0f;
    const float range = greatest - least;
    if (!(range > 1e-30f))
        return (quantizer){1.0f, 0.0f, 0};
    const float inverse = 255.0f / range;
    return (quantizer){range / 255.0f, inverse, (int32_t)__builtin_rintf(-least * inverse)};
}

KERNEL_INLINE uint32_t byte_of(float value, quantizer q) {
    const int32_t byte = (int32_t)__builtin_rintf(value * q.inverse) + q.zero;
    return (uint32_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
}

KERNEL_INLINE void least_and_greatest(float *least, float *greatest, const float *x,
                                      size_t columns) {
    float low[LANES] = {0}, high[LANES] = {0};
    const size_t whole = columns / LANES * LANES;
    for (size_t k = 0; k < whole; k += LANES)
        for (size_t l = 0; l < LANES; l++) {
            low[l] = x[k + l] < low[l] ? x[k + l] : low[l];
            high[l] = x[k + l] > high[l] ? x[k + l] : high[l];
        }
    for (size_t k = whole; k < columns; k++) {
        low[0] = x[k] < low[0] ? x[k] : low[0];
        high[0] = x[k] > high[0] ? x[k] : high[0];
    }
    for (size_t l = 1; l < LANES; l++) {
        low[0] = low[l] < low[0] ? low[l] : low[0];
        high[0] = high[l] > high[0] ? high[l] : high[0];
    }
    *least = low[0];
    *greatest = high[0];
}

// Bytes of a row, four a word; what lacks to the last word is the zero's byte, whose weight is 0.
KERNEL_INLINE void quantize_line(uint32_t *out, const float *x, size_t columns, size_t step,
                                 quantizer q) {
    const size_t whole = columns / 4;
    for (size_t g = 0; g < whole; g++)
        out[g * step] = byte_of(x[4 * g], q) | byte_of(x[4 * g + 1], q) << 8 |
                        byte_of(x[4 * g + 2], q) << 16 | byte_of(x[4 * g + 3], q) << 24;
    if (columns % 4) {
        uint32_t word = 0;
        for (size_t k = 4 * whole; k < columns; k++)
            word |= byte_of(x[k], q) << 8 * (k % 4);
        out[whole * step] = word;
    }
}

KERNEL void kernel_quantize_rows(void *out, float *scale, int32_t *zero, const float *x,
                                 size_t rows, size_t columns, size_t stride) {
    uint32_t *panel = out;
    for (size_t r = 0; r < KERNEL_PANEL_ROWS; r++) {
        scale[r] = 1.0f;
        zero[r] = 0;
        if (r >= rows) {
            clear_line(panel + r, words_of(columns, KERNEL_FORMAT_I8), KERNEL_PANEL_ROWS);
            continue;
        }
        float least, greatest;
        least_and_greatest(&least, &greatest, x + r * stride, columns);
        const quantizer q = quantizer_of(least, greatest);
        quantize_line(panel + r, x + r * stride, columns, KERNEL_PANEL_ROWS, q);
        scale[r] = q.scale;
        zero[r] = q.zero;
    }
}

KERNEL void kernel_quantize_bf16_rows(void *out, float *scale, int32_t *zero, const uint16_t *x,
                                      size_t rows, size_t columns, size_t stride) {
    uint32_t *panel = out;
    // A stretch of a row as float32, which stays in the first-level cache.
    enum { STRETCH = 1024 };
    float values[STRETCH];
    for (size_t r = 0; r < KERNEL_PANEL_ROWS; r++) {
        scale[r] = 1.0f;
        zero[r] = 0;
        if (r >= rows) {
            clear_line(panel + r, words_of(columns, KERNEL_FORMAT_I8), KERNEL_PANEL_ROWS);
            continue;
        }
        const uint16_t *row = x + r * stride;
        float least = 0.0f, greatest = 0.0f;
        for (size_t first = 0; first < columns; first += STRETCH) {
            const size_t count = columns - first < STRETCH ? columns - first : STRETCH;
            for (size_t k = 0; k < count; k++)
                values[k] = float_of_bf16(row[first + k]);
            float low, high;
            least_and_greatest(&low, &high, values, count);
            least = low < least ? low : least;
            greatest = high > greatest ? high : greatest;
        }
        const quantizer q = quantizer_of(least, greatest);
        for (size_t first = 0; first < columns; first += STRETCH) {
            const size_t count = columns - first < STRETCH ? columns - first : STRETCH;
            for (size_t k = 0; k < count; k++)
                values[k] = float_of_bf16(row[first + k]);
            quantize_line(panel + first / 4 * KERNEL_PANEL_ROWS + r, values, count,
                          KERNEL_PANEL_ROWS, q);
        }
        scale[r] = q.scale;
        zero[r] = q.zero;
    }
}

KERNEL void kernel_pack_columns(void *out, const float *w, size_t outputs, size_t inputs,
                                size_t stride, kernel_format format) {
    uint32_t *panel = out;
    for (size_t c = 0; c < outputs; c++)
        pack_line(panel + c, w + c * stride, inputs, KERNEL_PANEL_COLUMNS, format);
    for (size_t c = outputs; c < KERNEL_PANEL_COLUMNS; c++)
        clear_line(panel + c, words_of(inputs, format), KERNEL_PANEL_COLUMNS);
}

KERNEL void kernel_quantize_columns(void *out, float *scale, int32_t *sum, const float *w,
                                    size_t outputs, size_t inputs, size_t stride) {
    uint32_t *panel = out;
    const size_t words = words_of(inputs, KERNEL_FORMAT_I8);
    for (size_t c = 0; c < KERNEL_PANEL_COLUMNS; c++) {
        scale[c] = 0.0f;
        sum[c] = 0;
        if (c >= outputs) {
            clear_line(panel + c, words, KERNEL_PANEL_COLUMNS);
            continue;
        }
        const float *line = w + c * stride;
        float least, greatest;
        least_and_greatest(&least, &greatest, line, inputs);
        const float magnitude = greatest > -least ? greatest : -least;
        const float inverse = magnitude > 1e-30f ? 127.0f / magnitude : 0.0f;
        int32_t total = 0;
        for (size_t g = 0; g < words; g++) {
            uint32_t word = 0;
            for (size_t k = 4 * g; k < 4 * g + 4 && k < inputs; k++) {
                const int32_t byte = (int32_t)__builtin_rintf(line[k] * inverse);
                total += byte;
                word |= (uint32_t)(uint8_t)byte << 8 * (k % 4);
            }
            panel[g * KERNEL_PANEL_COLUMNS + c] = word;
        }
        scale[c] = magnitude / 127.0f;
        sum[c] = total;
    }
}

KERNEL void kernel_pack_columns_transposed(void *out, const float *w, size_t inputs, size_t outputs,
                                           size_t stride, size_t words, kernel_format format) {
    uint32_t *panel = out;
    memset(panel, 0, words * KERNEL_PANEL_COLUMNS * sizeof *panel);
    if (format == KERNEL_FORMAT_F32) {
        for (size_t k = 0; k < inputs; k++)
            memcpy(panel + k * KERNEL_PANEL_COLUMNS, w + k * stride, outputs * sizeof *w);
        return;
    }
    for (size_t g = 0; 2 * g < inputs; g++) {
        const float *first = w + 2 * g * stride;
        uint32_t *to = panel + g * KERNEL_PANEL_COLUMNS;
        if (2 * g + 1 < inputs)
            for (size_t c = 0; c < outputs; c++)
                to[c] = bf16_of(first[c]) | bf16_of(first[stride + c]) << 16;
        else
            for (size_t c = 0; c < outputs; c++)
                to[c] = bf16_of(first[c]);
    }
}
