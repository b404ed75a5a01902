// The plain twins of convolution.c: every index written out, sums in double.
#include "convolution.h"

#include <math.h>

/// The activated value of a picture at any row and column, zero outside.
static float value_at(const float *x, const float *scale, const float *shift, kernel_tile tile,
                      size_t channel, ptrdiff_t row, ptrdiff_t column, size_t x_stride) {
    if (row < 0 || column < 0 || row >= (ptrdiff_t)tile.height || column >= (ptrdiff_t)tile.width)
        return 0;
    const double v =
        x[channel * x_stride + (size_t)row % tile.capacity * tile.width + (size_t)column];
    if (!scale)
        return (float)v;
    const double scaled = scale[channel] * v + shift[channel];
    return (float)(scaled / (1 + exp(-scaled)));
}

void kernel_gather_f32_scalar(float *patch, const float *x, const float *scale, const float *shift,
                              kernel_tile tile, size_t channels, size_t patch_stride,
                              size_t x_stride) {
    for (size_t d = 0; d < 3; d++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < tile.rows + 2; i++)
                for (size_t j = 0; j < tile.columns; j++)
                    patch[(d * channels + c) * patch_stride + i * tile.columns + j] =
                        value_at(x, scale, shift, tile, c, (ptrdiff_t)(tile.row + i) - 1,
                                 (ptrdiff_t)(tile.column + j + d) - 1, x_stride);
}

void kernel_gather_halved_f32_scalar(float *patch, const float *x, const float *scale,
                                     const float *shift, kernel_tile tile, size_t channels,
                                     size_t patch_stride, size_t x_stride) {
    for (size_t d = 0; d < 3; d++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < 2 * tile.rows + 1; i++)
                for (size_t j = 0; j < tile.columns; j++) {
                    const size_t slot = i % 2 == 0 ? i / 2 : tile.rows + 1 + i / 2;
                    patch[(d * channels + c) * patch_stride + slot * tile.columns + j] =
                        value_at(x, scale, shift, tile, c, (ptrdiff_t)(2 * tile.row + i),
                                 (ptrdiff_t)(2 * (tile.column + j) + d), x_stride);
                }
}

void kernel_copy_tile_f32_scalar(float *patch, const float *x, kernel_tile tile, size_t channels,
                                 size_t patch_stride, size_t x_stride) {
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < tile.rows; i++)
            for (size_t j = 0; j < tile.columns; j++)
                patch[c * patch_stride + i * tile.columns + j] =
                    x[c * x_stride + (tile.row + i) % tile.capacity * tile.width + tile.column + j];
}

void kernel_moments_f32_scalar(float *moments, const float *x, size_t channels, size_t pixels,
                               size_t stride) {
    for (size_t c = 0; c < channels; c++) {
        double mean = 0, squares = 0;
        for (size_t p = 0; p < pixels; p++)
            mean += x[c * stride + p] / (double)pixels;
        for (size_t p = 0; p < pixels; p++)
            squares += pow(x[c * stride + p] - mean, 2);
        moments[c] = (float)mean;
        moments[channels + c] = (float)squares;
    }
}

void kernel_store_tile_f32_scalar(float *out, float *moments, float *values, const float *bias,
                                  const float *addend, kernel_tile tile, size_t channels,
                                  size_t out_stride, size_t values_stride, size_t addend_stride,
                                  size_t addend_capacity) {
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < tile.rows; i++)
            for (size_t j = 0; j < tile.columns; j++) {
                float *value = values + c * values_stride + i * tile.columns + j;
                const size_t row = tile.row + i, column = tile.column + j;
                *value += bias[c];
                if (addend)
                    *value +=
                        addend[c * addend_stride + row % addend_capacity * tile.width + column];
                out[c * out_stride + row % tile.capacity * tile.width + column] = *value;
            }
    if (moments)
        kernel_moments_f32_scalar(moments, values, channels, tile.rows * tile.columns,
                                  values_stride);
}

void kernel_interleave_f32_scalar(float *out, const float *phases, size_t channels, size_t rows,
                                  size_t columns, size_t out_stride, size_t phases_stride) {
    for (size_t phase = 0; phase < 4; phase++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < columns; j++)
                    out[c * out_stride + (2 * i + phase / 2) * 2 * columns + 2 * j + phase % 2] =
                        phases[(phase * channels + c) * phases_stride + i * columns + j];
}

void kernel_scale_transpose_f32_scalar(float *out, const float *x, const float *scale,
                                       const float *shift, size_t channels, size_t pixels,
                                       size_t out_stride, size_t x_stride) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            out[p * out_stride + c] = (float)((double)scale[c] * x[c * x_stride + p] + shift[c]);
}

void kernel_add_transposed_f32_scalar(float *x, const float *y, size_t channels, size_t pixels,
                                      size_t x_stride, size_t y_stride) {
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++)
            x[c * x_stride + p] += y[p * y_stride + c];
}
