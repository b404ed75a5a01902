#include "tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define TARGET_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))
#define TARGET_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")))

#define ROWS KERNEL_PANEL_ROWS
#define VECTORS (KERNEL_PANEL_COLUMNS / 16)

// The body of a tile: ACC is the accumulators' type, STEP adds one word's products to one of them.
// LOAD_COLUMN and LOAD_ROW say what is kept of a vector of columns and of a row's word.
#define TILE_BODY(ACC, ZERO, LOAD, STORE, WIDE, PREPARE_COLUMN, PREPARE_ROW, STEP, WORD_STEP,      \
                  ROW_STEP)                                                                        \
    ACC acc[ROWS][VECTORS];                                                                        \
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] =     \
        accumulate ? LOAD(out + r * stride + 16 * v) : ZERO();                                     \
    for (size_t g = 0; g < words; g++) {                                                           \
        WIDE column[VECTORS];                                                                      \
        UNROLL for (int v = 0; v < VECTORS; v++) column[v] =                                       \
            PREPARE_COLUMN(_mm512_loadu_si512(columns + 16 * v));                                  \
        UNROLL for (int r = 0; r < ROWS; r++) {                                                    \
            const WIDE row = PREPARE_ROW(_mm512_set1_epi32((int)rows[r * (ROW_STEP)]));            \
            UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] = STEP(acc[r][v], row, column[v]);  \
        }                                                                                          \
        rows += WORD_STEP;                                                                         \
        columns += KERNEL_PANEL_COLUMNS;                                                           \
    }                                                                                              \
    UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < VECTORS; v++)                 \
        STORE(out + r * stride + 16 * v, acc[r][v])

#define SAME(x) (x)

/// A word's two bfloat16, or four bytes, as two vectors.
typedef struct halves {
    __m512i low;
    __m512i high;
} halves;

#define STEP_F32(acc, row, column)                                                                 \
    _mm512_fmadd_ps(_mm512_castsi512_ps(row), _mm512_castsi512_ps(column), acc)
#define STEP_BF16(acc, row, column) _mm512_dpbf16_ps(acc, (__m512bh)(row), (__m512bh)(column))
#define STEP_I8(acc, row, column) _mm512_dpbusd_epi32(acc, row, column)

TARGET_AVX512 INLINE halves split_bf16(__m512i word) {
    return (halves){_mm512_slli_epi32(word, 16),
                    _mm512_and_si512(word, _mm512_set1_epi32((int)0xffff0000))};
}

TARGET_AVX512 INLINE __m512 step_split_bf16(__m512 acc, halves row, halves column) {
    acc = STEP_F32(acc, row.low, column.low);
    return STEP_F32(acc, row.high, column.high);
}

TARGET_AVX512 INLINE halves split_signed(__m512i word) {
    return (halves){_mm512_srai_epi16(_mm512_slli_epi16(word, 8), 8), _mm512_srai_epi16(word, 8)};
}

TARGET_AVX512 INLINE halves split_unsigned(__m512i word) {
    return (halves){_mm512_and_si512(word, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(word, 8)};
}

TARGET_AVX512 INLINE __m512i step_split_i8(__m512i acc, halves row, halves column) {
    const __m512i low = _mm512_madd_epi16(row.low, column.low);
    return _mm512_add_epi32(acc, _mm512_add_epi32(low, _mm512_madd_epi16(row.high, column.high)));
}

#define FLOAT_TILE(NAME, TARGET, WIDE, PREPARE, STEP, WORD_STEP, ROW_STEP)                         \
    TARGET static void NAME(float *out, size_t stride, const uint32_t *rows, size_t row_step,      \
                            const uint32_t *columns, size_t words, int accumulate) {               \
        (void)row_step;                                                                            \
        TILE_BODY(__m512, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, WIDE, PREPARE,     \
                  PREPARE, STEP, WORD_STEP, ROW_STEP);                                             \
    }
#define BYTES_TILE(NAME, TARGET, WIDE, PREPARE_COLUMN, PREPARE_ROW, STEP)                          \
    TARGET static void NAME(int32_t *out, size_t stride, const uint32_t *rows,                     \
                            const uint32_t *columns, size_t words, int accumulate) {               \
        TILE_BODY(__m512i, _mm512_setzero_si512, _mm512_loadu_si512, _mm512_storeu_si512, WIDE,    \
                  PREPARE_COLUMN, PREPARE_ROW, STEP, ROWS, 1);                                     \
    }

FLOAT_TILE(f32_panel, TARGET_AVX512, __m512i, SAME, STEP_F32, ROWS, 1)
FLOAT_TILE(f32_rows, TARGET_AVX512, __m512i, SAME, STEP_F32, 1, row_step)
FLOAT_TILE(split_bf16_panel, TARGET_AVX512, halves, split_bf16, step_split_bf16, ROWS, 1)
FLOAT_TILE(split_bf16_rows, TARGET_AVX512, halves, split_bf16, step_split_bf16, 1, row_step)
FLOAT_TILE(bf16_panel, TARGET_BF16, __m512i, SAME, STEP_BF16, ROWS, 1)
FLOAT_TILE(bf16_rows, TARGET_BF16, __m512i, SAME, STEP_BF16, 1, row_step)
BYTES_TILE(split_i8_panel, TARGET_AVX512, halves, split_signed, split_unsigned, step_split_i8)
BYTES_TILE(i8_panel, TARGET_VNNI, __m512i, SAME, SAME, STEP_I8)

const tile_set tiles_avx512 = {f32_panel, split_bf16_panel, split_i8_panel, f32_rows,
                               split_bf16_rows};
const tile_set tiles_avx512_vnni = {f32_panel, split_bf16_panel, i8_panel, f32_rows,
                                    split_bf16_rows};
const tile_set tiles_avx512_bf16 = {f32_panel, bf16_panel, i8_panel, f32_rows, bf16_rows};
#endif
