// The plain twins of elementwise.c: one loop a formula, sums in double, the C library's functions.
#include "elementwise.h"

#include <math.h>

static float activated(float x, kernel_activation activation) {
    switch (activation) {
    case KERNEL_GELU_TANH:
        return (float)(0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))));
    case KERNEL_SILU:
        return (float)(x / (1 + exp(-(double)x)));
    case KERNEL_QUICK_GELU:
        return (float)(x / (1 + exp(-1.702 * x)));
    case KERNEL_IDENTITY:
        break;
    }
    return x;
}

void kernel_bias_activation_f32_scalar(float *x, const float *bias, size_t rows, size_t columns,
                                       size_t stride, kernel_activation activation) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            x[r * stride + c] = activated(x[r * stride + c] + (bias ? bias[c] : 0), activation);
}

void kernel_layer_norm_f32_scalar(float *out, const float *x, const float *scale,
                                  const float *shift, size_t rows, size_t columns,
                                  size_t out_stride, size_t x_stride, float offset, float eps) {
    for (size_t r = 0; r < rows; r++) {
        double mean = 0, variance = 0;
        for (size_t c = 0; c < columns; c++)
            mean += x[r * x_stride + c] / (double)columns;
        for (size_t c = 0; c < columns; c++)
            variance += pow(x[r * x_stride + c] - mean, 2) / (double)columns;
        for (size_t c = 0; c < columns; c++)
            out[r * out_stride + c] =
                (float)((x[r * x_stride + c] - mean) / sqrt(variance + eps) * (offset + scale[c]) +
                        shift[c]);
    }
}

static double root_mean_square(const float *x, size_t columns, float eps) {
    double squares = 0;
    for (size_t c = 0; c < columns; c++)
        squares += (double)x[c] * x[c];
    return sqrt(squares / (double)columns + eps);
}

void kernel_rms_norm_f32_scalar(float *out, const float *x, const float *weight, size_t rows,
                                size_t columns, size_t out_stride, size_t x_stride, float eps) {
    for (size_t r = 0; r < rows; r++) {
        const double root = root_mean_square(x + r * x_stride, columns, eps);
        for (size_t c = 0; c < columns; c++)
            out[r * out_stride + c] = (float)(x[r * x_stride + c] / root * weight[c]);
    }
}

void kernel_head_norm_rope_f32_scalar(float *x, const float *weight, const float *cosine,
                                      const float *sine, size_t tokens, size_t heads,
                                      size_t head_dim, size_t stride, float eps) {
    for (size_t t = 0; t < tokens; t++)
        for (size_t h = 0; h < heads; h++) {
            float *head = x + t * stride + h * head_dim;
            const double root = root_mean_square(head, head_dim, eps);
            for (size_t j = 0; j < head_dim / 2; j++) {
                const double co = cosine[t * (head_dim / 2) + j];
                const double si = sine[t * (head_dim / 2) + j];
                const double a = head[2 * j] / root * weight[2 * j];
                const double b = head[2 * j + 1] / root * weight[2 * j + 1];
                head[2 * j] = (float)(a * co - b * si);
                head[2 * j + 1] = (float)(b * co + a * si);
            }
        }
}

void kernel_softmax_f32_scalar(float *x, const float *bias, size_t rows, size_t columns,
                               size_t stride, size_t bias_stride, size_t visible, float scale) {
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * stride;
        double greatest = -INFINITY, sum = 0;
        for (size_t c = 0; c < columns; c++) {
            const double logit = (double)row[c] * scale + (bias ? bias[r * bias_stride + c] : 0);
            row[c] = c < visible || c - visible < r ? (float)logit : -INFINITY;
            greatest = row[c] > greatest ? row[c] : greatest;
        }
        for (size_t c = 0; c < columns; c++)
            sum += exp(row[c] - greatest);
        for (size_t c = 0; c < columns; c++)
            row[c] = (float)(exp(row[c] - greatest) / sum);
    }
}

void kernel_add_gated_f32_scalar(float *x, const float *y, const float *gate, size_t rows,
                                 size_t columns, size_t x_stride, size_t y_stride) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            x[r * x_stride + c] += (gate ? gate[c] : 1) * y[r * y_stride + c];
}

void kernel_multiply_f32_scalar(float *x, const float *y, size_t rows, size_t columns,
                                size_t x_stride, size_t y_stride) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            x[r * x_stride + c] *= y[r * y_stride + c];
}
