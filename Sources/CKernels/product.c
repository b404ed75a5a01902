#include "include/product.h"
#include "include/nibbles.h"
#include "tiles.h"
#include "vector_math.h"

kernel_level kernel_best_level(void) {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return KERNEL_LEVEL_SCALAR;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return KERNEL_LEVEL_AVX2;
    if (!__builtin_cpu_supports("avx512vnni"))
        return KERNEL_LEVEL_AVX512;
    return __builtin_cpu_supports("avx512bf16") ? KERNEL_LEVEL_AVX512_BF16
                                                : KERNEL_LEVEL_AVX512_VNNI;
#else
    return KERNEL_LEVEL_SCALAR;
#endif
}

const char *kernel_level_name(kernel_level level) {
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
    return names[level];
}

const tile_set *tiles_of(kernel_level level) {
    switch (level) {
#if defined(__x86_64__)
    case KERNEL_LEVEL_AVX2:
        return &tiles_avx2;
    case KERNEL_LEVEL_AVX512:
        return &tiles_avx512;
    case KERNEL_LEVEL_AVX512_VNNI:
        return &tiles_avx512_vnni;
    case KERNEL_LEVEL_AVX512_BF16:
        return &tiles_avx512_bf16;
#endif
    default:
        return &tiles_scalar;
    }
}

/// The words of the run that begins at `first`.
INLINE size_t run_length(size_t words, size_t first) {
    const size_t left = words - first;
    return left < KERNEL_RUN_WORDS ? left : KERNEL_RUN_WORDS;
}

void kernel_product_float(float *out, size_t stride, const void *rows, const void *columns,
                          size_t panels, size_t words, kernel_format format, int accumulate,
                          kernel_level level) {
    const tile_set *tiles = tiles_of(level);
    float_tile *tile = format == KERNEL_FORMAT_F32 ? tiles->f32 : tiles->bf16;
    const uint32_t *left = rows;
    const uint32_t *right = columns;
    for (size_t first = 0; first < words; first += KERNEL_RUN_WORDS)
        for (size_t p = 0; p < panels; p++)
            tile(out + p * KERNEL_PANEL_ROWS * stride, stride,
                 left + (p * words + first) * KERNEL_PANEL_ROWS, 1,
                 right + first * KERNEL_PANEL_COLUMNS, run_length(words, first),
                 accumulate || first > 0);
}

KERNEL static void scale_sums(float *out, size_t stride, const int32_t *sums, size_t rows,
                              kernel_scales scales, int accumulate) {
    for (size_t r = 0; r < rows; r++) {
        const float scale = scales.row_scale[r];
        const int32_t zero = scales.row_zero[r];
        const int32_t *from = sums + r * KERNEL_PANEL_COLUMNS;
        float *to = out + r * stride;
        if (accumulate)
            for (size_t c = 0; c < KERNEL_PANEL_COLUMNS; c++)
                to[c] +=
                    scale * scales.column_scale[c] * (float)(from[c] - zero * scales.column_sum[c]);
        else
            for (size_t c = 0; c < KERNEL_PANEL_COLUMNS; c++)
                to[c] =
                    scale * scales.column_scale[c] * (float)(from[c] - zero * scales.column_sum[c]);
    }
}

void kernel_product_bytes(float *out, size_t stride, int32_t *sums, const void *rows,
                          const void *columns, void *room, size_t panels, size_t words,
                          kernel_scales scales, int accumulate, kernel_level level) {
    bytes_tile *tile = tiles_of(level)->i8;
    const uint32_t *left = rows;
    for (size_t first = 0; first < words; first += KERNEL_RUN_WORDS) {
        const uint32_t *right = room;
        if (room)
            kernel_nibbles_to_bytes(room, columns, words, first, run_length(words, first));
        else
            right = (const uint32_t *)columns + first * KERNEL_PANEL_COLUMNS;
        for (size_t p = 0; p < panels; p++)
            tile(sums + p * KERNEL_PANEL_ROWS * KERNEL_PANEL_COLUMNS, KERNEL_PANEL_COLUMNS,
                 left + (p * words + first) * KERNEL_PANEL_ROWS, right, run_length(words, first),
                 first > 0);
    }
    scale_sums(out, stride, sums, panels * KERNEL_PANEL_ROWS, scales, accumulate);
}
