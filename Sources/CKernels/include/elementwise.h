// Float32 kernels of the networks: normalisation, activation, rotary embedding, softmax.
//
// Outputs first, then inputs, then sizes. A matrix is rows x columns, row-major, with the distance
// between two rows given as `stride` (in floats). Callers own all memory and check all shapes.
// Every kernel has a plain twin `…_scalar` of the same signature: readable, without vectors, the
// yardstick of the tests.
#ifndef DREAMFARM_ELEMENTWISE_H
#define DREAMFARM_ELEMENTWISE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Activations of a linear layer's output.
typedef enum kernel_activation {
    KERNEL_IDENTITY = 0,
    /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    KERNEL_GELU_TANH = 1,
    /// x / (1 + exp(-x))
    KERNEL_SILU = 2,
    /// x / (1 + exp(-1.702 x))
    KERNEL_QUICK_GELU = 3,
} kernel_activation;

/// x[r, c] = act(x[r, c] + bias[c]); x is (rows, columns), bias is (columns) or null.
void kernel_bias_activation_f32(float *x, const float *bias, size_t rows, size_t columns,
                                size_t stride, kernel_activation activation);
void kernel_bias_activation_f32_scalar(float *x, const float *bias, size_t rows, size_t columns,
                                       size_t stride, kernel_activation activation);

/// out[r, c] = (x[r, c] - mean_r) / sqrt(var_r + eps) * (offset + scale[c]) + shift[c];
/// out and x are (rows, columns), scale and shift (columns). offset is 1 for adaptive
/// normalisation, 0 for a learned affine one.
void kernel_layer_norm_f32(float *out, const float *x, const float *scale, const float *shift,
                           size_t rows, size_t columns, size_t out_stride, size_t x_stride,
                           float offset, float eps);
void kernel_layer_norm_f32_scalar(float *out, const float *x, const float *scale,
                                  const float *shift, size_t rows, size_t columns,
                                  size_t out_stride, size_t x_stride, float offset, float eps);

/// out[r, c] = x[r, c] / sqrt(mean_c(x[r, c]^2) + eps) * weight[c]; out, x (rows, columns).
void kernel_rms_norm_f32(float *out, const float *x, const float *weight, size_t rows,
                         size_t columns, size_t out_stride, size_t x_stride, float eps);
void kernel_rms_norm_f32_scalar(float *out, const float *x, const float *weight, size_t rows,
                                size_t columns, size_t out_stride, size_t x_stride, float eps);

/// Root-mean-square norm of each head of each token, then the rotation of its channel pairs
/// (2j, 2j + 1) by the token's angle j. x is (tokens, heads * head_dim), in place; weight is
/// (head_dim); cosine and sine are (tokens, head_dim / 2).
void kernel_head_norm_rope_f32(float *x, const float *weight, const float *cosine,
                               const float *sine, size_t tokens, size_t heads, size_t head_dim,
                               size_t stride, float eps);
void kernel_head_norm_rope_f32_scalar(float *x, const float *weight, const float *cosine,
                                      const float *sine, size_t tokens, size_t heads,
                                      size_t head_dim, size_t stride, float eps);

/// Softmax over each row of scale * x + bias, in place; x is (rows, columns), bias is
/// (rows, columns) with its own stride, or null. In row r only the first
/// min(columns, visible + r) columns count, the rest become 0: visible >= columns is no mask.
void kernel_softmax_f32(float *x, const float *bias, size_t rows, size_t columns, size_t stride,
                        size_t bias_stride, size_t visible, float scale);
void kernel_softmax_f32_scalar(float *x, const float *bias, size_t rows, size_t columns,
                               size_t stride, size_t bias_stride, size_t visible, float scale);

/// x[r, c] += gate[c] * y[r, c]; x, y are (rows, columns), gate is (columns) or null for 1.
void kernel_add_gated_f32(float *x, const float *y, const float *gate, size_t rows, size_t columns,
                          size_t x_stride, size_t y_stride);
void kernel_add_gated_f32_scalar(float *x, const float *y, const float *gate, size_t rows,
                                 size_t columns, size_t x_stride, size_t y_stride);

/// x[r, c] *= y[r, c]; x, y are (rows, columns).
void kernel_multiply_f32(float *x, const float *y, size_t rows, size_t columns, size_t x_stride,
                         size_t y_stride);
void kernel_multiply_f32_scalar(float *x, const float *y, size_t rows, size_t columns,
                                size_t x_stride, size_t y_stride);

#ifdef __cplusplus
}
#endif

#endif
