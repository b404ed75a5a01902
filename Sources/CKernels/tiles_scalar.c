#include "tiles.h"

#include <string.h>

INLINE float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE float dot_f32(float sum, uint32_t a, uint32_t b) { return sum + float_of(a) * float_of(b); }

INLINE float dot_bf16(float sum, uint32_t a, uint32_t b) {
    sum += float_of(a << 16) * float_of(b << 16);
    return sum + float_of(a & 0xffff0000u) * float_of(b & 0xffff0000u);
}

INLINE int32_t dot_i8(int32_t sum, uint32_t a, uint32_t b) {
    for (int k = 0; k < 4; k++)
        sum += (int32_t)(uint8_t)(a >> 8 * k) * (int32_t)(int8_t)(b >> 8 * k);
    return sum;
}

#define TILE(SUM, DOT, WORD_STEP, ROW_STEP)                                                        \
    for (size_t r = 0; r < KERNEL_PANEL_ROWS; r++)                                                 \
        for (size_t c = 0; c < KERNEL_PANEL_COLUMNS; c++) {                                        \
            SUM sum = accumulate ? out[r * stride + c] : 0;                                        \
            for (size_t g = 0; g < words; g++)                                                     \
                sum = DOT(sum, rows[g * (WORD_STEP) + r * (ROW_STEP)],                             \
                          columns[g * KERNEL_PANEL_COLUMNS + c]);                                  \
            out[r * stride + c] = sum;                                                             \
        }

#define FLOAT_TILE(NAME, DOT, WORD_STEP, ROW_STEP)                                                 \
    static void NAME(float *out, size_t stride, const uint32_t *rows, size_t row_step,             \
                     const uint32_t *columns, size_t words, int accumulate) {                      \
        (void)row_step;                                                                            \
        TILE(float, DOT, WORD_STEP, ROW_STEP)                                                      \
    }

FLOAT_TILE(f32_panel, dot_f32, KERNEL_PANEL_ROWS, 1)
FLOAT_TILE(f32_rows, dot_f32, 1, row_step)
FLOAT_TILE(bf16_panel, dot_bf16, KERNEL_PANEL_ROWS, 1)
FLOAT_TILE(bf16_rows, dot_bf16, 1, row_step)

static void i8_panel(int32_t *out, size_t stride, const uint32_t *rows, const uint32_t *columns,
                     size_t words, int accumulate) {
    TILE(int32_t, dot_i8, KERNEL_PANEL_ROWS, 1)
}

const tile_set tiles_scalar = {f32_panel, bf16_panel, i8_panel, f32_rows, bf16_rows};
