#include "convolution.h"
#include "vector_math.h"

/// Columns first..<first + count of a picture's row, activated; zero outside 0..<width.
KERNEL_INLINE void gather_line(float *line, const float *row, ptrdiff_t first, size_t count,
                               size_t width, const float *scale, const float *shift) {
    const size_t start = first < 0 ? (size_t)-first : 0;
    const ptrdiff_t left = (ptrdiff_t)width - first;
    const size_t end = left < (ptrdiff_t)count ? (size_t)(left > 0 ? left : 0) : count;
    const float *from = row + first;
    for (size_t i = 0; i < start; i++)
        line[i] = 0.0f;
    if (scale) {
        const float slope = *scale, offset = *shift;
        for (size_t i = start; i < end; i++) {
            const float v = slope * from[i] + offset;
            line[i] = v / (1.0f + fast_exp(-v));
        }
    } else {
        for (size_t i = start; i < end; i++)
            line[i] = from[i];
    }
    for (size_t i = end; i < count; i++)
        line[i] = 0.0f;
}

KERNEL void kernel_gather_f32(float *patch, const float *x, const float *scale, const float *shift,
                              kernel_tile tile, size_t channels, size_t patch_stride,
                              size_t x_stride) {
    float line[KERNEL_TILE_COLUMNS + 2];
    const size_t columns = tile.columns;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < tile.rows + 2; i++) {
            float *to = patch + c * patch_stride + i * columns;
            // Rows are counted from one above the picture, so that none is negative.
            const size_t source = tile.row + i;
            if (source == 0 || source > tile.height) {
                for (size_t d = 0; d < 3; d++)
                    memset(to + d * channels * patch_stride, 0, columns * sizeof(float));
                continue;
            }
            const float *row = x + c * x_stride + (source - 1) % tile.capacity * tile.width;
            gather_line(line, row, (ptrdiff_t)tile.column - 1, columns + 2, tile.width,
                        scale ? scale + c : NULL, scale ? shift + c : NULL);
            for (size_t d = 0; d < 3; d++)
                memcpy(to + d * channels * patch_stride, line + d, columns * sizeof(float));
        }
}

KERNEL void kernel_gather_halved_f32(float *patch, const float *x, const float *scale,
                                     const float *shift, kernel_tile tile, size_t channels,
                                     size_t patch_stride, size_t x_stride) {
    float line[2 * KERNEL_TILE_COLUMNS + 1];
    const size_t columns = tile.columns;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < 2 * tile.rows + 1; i++) {
            const size_t slot = i % 2 == 0 ? i / 2 : tile.rows + 1 + i / 2;
            float *to = patch + c * patch_stride + slot * columns;
            const size_t source = 2 * tile.row + i;
            if (source >= tile.height) {
                for (size_t d = 0; d < 3; d++)
                    memset(to + d * channels * patch_stride, 0, columns * sizeof(float));
                continue;
            }
            const float *row = x + c * x_stride + source % tile.capacity * tile.width;
            gather_line(line, row, (ptrdiff_t)(2 * tile.column), 2 * columns + 1, tile.width,
                        scale ? scale + c : NULL, scale ? shift + c : NULL);
            for (size_t d = 0; d < 3; d++) {
                float *shifted = to + d * channels * patch_stride;
                for (size_t j = 0; j < columns; j++)
                    shifted[j] = line[2 * j + d];
            }
        }
}

KERNEL void kernel_copy_tile_f32(float *patch, const float *x, kernel_tile tile, size_t channels,
                                 size_t patch_stride, size_t x_stride) {
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < tile.rows; i++)
            memcpy(patch + c * patch_stride + i * tile.columns,
                   x + c * x_stride + (tile.row + i) % tile.capacity * tile.width + tile.column,
                   tile.columns * sizeof(float));
}

KERNEL void kernel_store_tile_f32(float *out, float *moments, float *values, const float *bias,
                                  const float *addend, kernel_tile tile, size_t channels,
                                  size_t out_stride, size_t values_stride, size_t addend_stride,
                                  size_t addend_capacity) {
    const size_t columns = tile.columns;
    for (size_t c = 0; c < channels; c++) {
        float *value = values + c * values_stride;
        const float b = bias[c];
        for (size_t i = 0; i < tile.rows * columns; i++)
            value[i] += b;
        if (addend)
            for (size_t i = 0; i < tile.rows; i++) {
                const float *add = addend + c * addend_stride +
                                   (tile.row + i) % addend_capacity * tile.width + tile.column;
                for (size_t j = 0; j < columns; j++)
                    value[i * columns + j] += add[j];
            }
        if (moments)
            moments_of(moments + c, moments + channels + c, value, tile.rows * columns);
        for (size_t i = 0; i < tile.rows; i++)
            memcpy(out + c * out_stride + (tile.row + i) % tile.capacity * tile.width + tile.column,
                   value + i * columns, columns * sizeof(float));
    }
}

KERNEL void kernel_interleave_f32(float *out, const float *phases, size_t channels, size_t rows,
                                  size_t columns, size_t out_stride, size_t phases_stride) {
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < 2 * rows; i++) {
            const float *even = phases + (i % 2 * 2 * channels + c) * phases_stride;
            const float *odd = even + channels * phases_stride;
            float *to = out + c * out_stride + i * 2 * columns;
            for (size_t j = 0; j < columns; j++) {
                to[2 * j] = even[i / 2 * columns + j];
                to[2 * j + 1] = odd[i / 2 * columns + j];
            }
        }
}

KERNEL void kernel_moments_f32(float *moments, const float *x, size_t channels, size_t pixels,
                               size_t stride) {
    for (size_t c = 0; c < channels; c++)
        moments_of(moments + c, moments + channels + c, x + c * stride, pixels);
}

KERNEL void kernel_scale_transpose_f32(float *out, const float *x, const float *scale,
                                       const float *shift, size_t channels, size_t pixels,
                                       size_t out_stride, size_t x_stride) {
    for (size_t first = 0; first < pixels; first += LANES) {
        const size_t end = pixels - first < LANES ? pixels : first + LANES;
        for (size_t c = 0; c < channels; c++)
            for (size_t p = first; p < end; p++)
                out[p * out_stride + c] = scale[c] * x[c * x_stride + p] + shift[c];
    }
}

KERNEL void kernel_add_transposed_f32(float *x, const float *y, size_t channels, size_t pixels,
                                      size_t x_stride, size_t y_stride) {
    for (size_t first = 0; first < pixels; first += LANES) {
        const size_t end = pixels - first < LANES ? pixels : first + LANES;
        for (size_t c = 0; c < channels; c++)
            for (size_t p = first; p < end; p++)
                x[c * x_stride + p] += y[p * y_stride + c];
    }
}
