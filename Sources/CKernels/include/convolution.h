// Float32 kernels of the convolutional networks: gathering, finishing and turning of tiles.
//
// A picture is channels x (rows x width): channel c starts at c * stride, row r of it at
// (r % capacity) * width, so that a picture may hold its last `capacity` rows only; one that holds
// all has capacity = height. A tile is a rectangle of a picture. Outputs first, then inputs, then
// sizes; callers own all memory and check all shapes. Every kernel has a plain twin `…_scalar`.
#ifndef DREAMFARM_CONVOLUTION_H
#define DREAMFARM_CONVOLUTION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The widest tile that `kernel_gather_f32` takes.
#define KERNEL_TILE_COLUMNS 128

/// A picture's sizes, and a tile of it. Of a convolution with stride 2 the tile is the output's.
typedef struct kernel_tile {
    size_t width;
    size_t height;
    size_t capacity;
    size_t row;
    size_t column;
    size_t rows;
    size_t columns;
} kernel_tile;

/// patch[d * channels + c, i * columns + j] = act(x[c, row - 1 + i, column - 1 + j + d]) for d < 3
/// and i < rows + 2, zero outside the picture: what a 3x3 convolution of the tile reads, shifted
/// by 0, 1 and 2 columns. act(v) = silu(scale[c] * v + shift[c]), or v when scale is null.
/// patch is (3 * channels, (rows + 2) * columns).
void kernel_gather_f32(float *patch, const float *x, const float *scale, const float *shift,
                       kernel_tile tile, size_t channels, size_t patch_stride, size_t x_stride);
void kernel_gather_f32_scalar(float *patch, const float *x, const float *scale, const float *shift,
                              kernel_tile tile, size_t channels, size_t patch_stride,
                              size_t x_stride);

/// The same for stride 2 with padding at the right and the bottom only: source row 2 * row + i,
/// i < 2 * rows + 1, source column 2 * (column + j) + d; even i first (rows + 1 of them), then odd.
/// patch is (3 * channels, (2 * rows + 1) * columns).
void kernel_gather_halved_f32(float *patch, const float *x, const float *scale, const float *shift,
                              kernel_tile tile, size_t channels, size_t patch_stride,
                              size_t x_stride);
void kernel_gather_halved_f32_scalar(float *patch, const float *x, const float *scale,
                                     const float *shift, kernel_tile tile, size_t channels,
                                     size_t patch_stride, size_t x_stride);

/// patch[c, i * columns + j] = x[c, row + i, column + j]; patch is (channels, rows * columns).
void kernel_copy_tile_f32(float *patch, const float *x, kernel_tile tile, size_t channels,
                          size_t patch_stride, size_t x_stride);
void kernel_copy_tile_f32_scalar(float *patch, const float *x, kernel_tile tile, size_t channels,
                                 size_t patch_stride, size_t x_stride);

/// out[c, row + i, column + j] = values[c, i * columns + j] + bias[c] + addend[c, row + i, ...],
/// with addend a picture of the same width with its own capacity, or null; it may be out itself.
/// moments[c] is the mean of the channel's new values, moments[channels + c] the sum of their
/// squared distances from it; moments may be null. values is (channels, rows * columns) and holds
/// the sums afterwards.
void kernel_store_tile_f32(float *out, float *moments, float *values, const float *bias,
                           const float *addend, kernel_tile tile, size_t channels,
                           size_t out_stride, size_t values_stride, size_t addend_stride,
                           size_t addend_capacity);
void kernel_store_tile_f32_scalar(float *out, float *moments, float *values, const float *bias,
                                  const float *addend, kernel_tile tile, size_t channels,
                                  size_t out_stride, size_t values_stride, size_t addend_stride,
                                  size_t addend_capacity);

/// out[c, (2 i + a) * 2 columns + 2 j + b] = phases[(2 a + b) * channels + c, i * columns + j];
/// phases is (4 * channels, rows * columns), out (channels, 4 * rows * columns).
void kernel_interleave_f32(float *out, const float *phases, size_t channels, size_t rows,
                           size_t columns, size_t out_stride, size_t phases_stride);
void kernel_interleave_f32_scalar(float *out, const float *phases, size_t channels, size_t rows,
                                  size_t columns, size_t out_stride, size_t phases_stride);

/// moments[c] = mean of x[c, :], moments[channels + c] = sum of (x[c, :] - mean)^2;
/// x is (channels, pixels).
void kernel_moments_f32(float *moments, const float *x, size_t channels, size_t pixels,
                        size_t stride);
void kernel_moments_f32_scalar(float *moments, const float *x, size_t channels, size_t pixels,
                               size_t stride);

/// out[p, c] = scale[c] * x[c, p] + shift[c]; x is (channels, pixels), out (pixels, channels).
void kernel_scale_transpose_f32(float *out, const float *x, const float *scale, const float *shift,
                                size_t channels, size_t pixels, size_t out_stride, size_t x_stride);
void kernel_scale_transpose_f32_scalar(float *out, const float *x, const float *scale,
                                       const float *shift, size_t channels, size_t pixels,
                                       size_t out_stride, size_t x_stride);

/// x[c, p] += y[p, c]; x is (channels, pixels), y (pixels, channels).
void kernel_add_transposed_f32(float *x, const float *y, size_t channels, size_t pixels,
                               size_t x_stride, size_t y_stride);
void kernel_add_transposed_f32_scalar(float *x, const float *y, size_t channels, size_t pixels,
                                      size_t x_stride, size_t y_stride);

#ifdef __cplusplus
}
#endif

#endif
