#include "elementwise.h"
#include "vector_math.h"

KERNEL_INLINE float gelu_tanh(float x) {
    const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x);
    // tanh(u) = 1 - 2 / (exp(2u) + 1); the halves of GELU's formula cancel.
    return x * (1.0f - 1.0f / (fast_exp(2.0f * inner) + 1.0f));
}

KERNEL_INLINE float sigmoid_weighted(float x, float slope) {
    return x / (1.0f + fast_exp(-slope * x));
}

KERNEL_INLINE void activate_row(float *x, size_t columns, kernel_activation activation) {
    switch (activation) {
    case KERNEL_GELU_TANH:
        for (size_t c = 0; c < columns; c++)
            x[c] = gelu_tanh(x[c]);
        break;
    case KERNEL_SILU:
        for (size_t c = 0; c < columns; c++)
            x[c] = sigmoid_weighted(x[c], 1.0f);
        break;
    case KERNEL_QUICK_GELU:
        for (size_t c = 0; c < columns; c++)
            x[c] = sigmoid_weighted(x[c], 1.702f);
        break;
    case KERNEL_IDENTITY:
        break;
    }
}

KERNEL void kernel_bias_activation_f32(float *x, const float *bias, size_t rows, size_t columns,
                                       size_t stride, kernel_activation activation) {
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * stride;
        if (bias)
            for (size_t c = 0; c < columns; c++)
                row[c] += bias[c];
        activate_row(row, columns, activation);
    }
}

KERNEL void kernel_layer_norm_f32(float *out, const float *x, const float *scale,
                                  const float *shift, size_t rows, size_t columns,
                                  size_t out_stride, size_t x_stride, float offset, float eps) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        float *to = out + r * out_stride;
        float mean, squares;
        moments_of(&mean, &squares, in, columns);
        const float inverse = 1.0f / sqrtf(squares / (float)columns + eps);
        for (size_t c = 0; c < columns; c++)
            to[c] = (in[c] - mean) * inverse * (offset + scale[c]) + shift[c];
    }
}

KERNEL_INLINE float inverse_rms(const float *x, size_t columns, float eps) {
    const size_t whole = columns / LANES * LANES;
    float lanes[LANES] = {0};
    for (size_t c = 0; c < whole; c += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += x[c + l] * x[c + l];
    for (size_t c = whole; c < columns; c++)
        lanes[c - whole] += x[c] * x[c];
    return 1.0f / sqrtf(sum_lanes(lanes) / (float)columns + eps);
}

KERNEL void kernel_rms_norm_f32(float *out, const float *x, const float *weight, size_t rows,
                                size_t columns, size_t out_stride, size_t x_stride, float eps) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        float *to = out + r * out_stride;
        const float inverse = inverse_rms(in, columns, eps);
        for (size_t c = 0; c < columns; c++)
            to[c] = in[c] * inverse * weight[c];
    }
}

KERNEL void kernel_head_norm_rope_f32(float *x, const float *weight, const float *cosine,
                                      const float *sine, size_t tokens, size_t heads,
                                      size_t head_dim, size_t stride, float eps) {
    const size_t pairs = head_dim / 2;
    for (size_t t = 0; t < tokens; t++) {
        const float *co = cosine + t * pairs;
        const float *si = sine + t * pairs;
        for (size_t h = 0; h < heads; h++) {
            float *head = x + t * stride + h * head_dim;
            const float inverse = inverse_rms(head, head_dim, eps);
            for (size_t j = 0; j < pairs; j++) {
                const float a = head[2 * j] * inverse * weight[2 * j];
                const float b = head[2 * j + 1] * inverse * weight[2 * j + 1];
                head[2 * j] = a * co[j] - b * si[j];
                head[2 * j + 1] = b * co[j] + a * si[j];
            }
        }
    }
}

KERNEL void kernel_softmax_f32(float *x, const float *bias, size_t rows, size_t columns,
                               size_t stride, size_t bias_stride, size_t visible, float scale) {
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * stride;
        const size_t count = visible < columns - r ? visible + r : columns;
        const size_t used = count < columns ? count : columns;
        const size_t whole = used / LANES * LANES;
        if (bias) {
            const float *add = bias + r * bias_stride;
            for (size_t c = 0; c < used; c++)
                row[c] = row[c] * scale + add[c];
        } else {
            for (size_t c = 0; c < used; c++)
                row[c] *= scale;
        }
        float top[LANES];
        for (size_t l = 0; l < LANES; l++)
            top[l] = -INFINITY;
        for (size_t c = 0; c < whole; c += LANES)
            for (size_t l = 0; l < LANES; l++)
                top[l] = row[c + l] > top[l] ? row[c + l] : top[l];
        for (size_t c = whole; c < used; c++)
            top[c - whole] = row[c] > top[c - whole] ? row[c] : top[c - whole];
        float greatest = top[0];
        for (size_t l = 1; l < LANES; l++)
            greatest = top[l] > greatest ? top[l] : greatest;
        for (size_t c = 0; c < used; c++)
            row[c] = fast_exp(row[c] - greatest);
        float lanes[LANES] = {0};
        for (size_t c = 0; c < whole; c += LANES)
            for (size_t l = 0; l < LANES; l++)
                lanes[l] += row[c + l];
        for (size_t c = whole; c < used; c++)
            lanes[c - whole] += row[c];
        const float inverse = 1.0f / sum_lanes(lanes);
        for (size_t c = 0; c < used; c++)
            row[c] *= inverse;
        for (size_t c = used; c < columns; c++)
            row[c] = 0.0f;
    }
}

KERNEL void kernel_add_gated_f32(float *x, const float *y, const float *gate, size_t rows,
                                 size_t columns, size_t x_stride, size_t y_stride) {
    for (size_t r = 0; r < rows; r++) {
        float *to = x + r * x_stride;
        const float *from = y + r * y_stride;
        if (gate)
            for (size_t c = 0; c < columns; c++)
                to[c] += gate[c] * from[c];
        else
            for (size_t c = 0; c < columns; c++)
                to[c] += from[c];
    }
}

KERNEL void kernel_multiply_f32(float *x, const float *y, size_t rows, size_t columns,
                                size_t x_stride, size_t y_stride) {
    for (size_t r = 0; r < rows; r++) {
        float *to = x + r * x_stride;
        const float *from = y + r * y_stride;
        for (size_t c = 0; c < columns; c++)
            to[c] *= from[c];
    }
}
