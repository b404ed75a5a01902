#include "tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET_AVX2 __attribute__((target("avx2,fma")))

#define ROWS KERNEL_PANEL_ROWS
// Sixteen registers hold six rows of two vectors; a tile is four such stripes.
#define VECTORS 2
#define STRIPE (8 * VECTORS)

#define STRIPES(ACC, ZERO, LOAD, STORE, WIDE, PREPARE_COLUMN, PREPARE_ROW, STEP, WORD_STEP,        \
                ROW_STEP)                                                                          \
    for (size_t first = 0; first < KERNEL_PANEL_COLUMNS; first += STRIPE) {                        \
        ACC acc[ROWS][VECTORS];                                                                    \
        UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] = \
            accumulate ? LOAD(out + r * stride + first + 8 * v) : ZERO();                          \
        for (size_t g = 0; g < words; g++) {                                                       \
            WIDE column[VECTORS];                                                                  \
            UNROLL for (int v = 0; v < VECTORS; v++) column[v] =                                   \
                PREPARE_COLUMN(load_words(columns + g * KERNEL_PANEL_COLUMNS + first + 8 * v));    \
            UNROLL for (int r = 0; r < ROWS; r++) {                                                \
                const WIDE row =                                                                   \
                    PREPARE_ROW(_mm256_set1_epi32((int)rows[g * (WORD_STEP) + r * (ROW_STEP)]));   \
                UNROLL for (int v = 0; v < VECTORS; v++) acc[r][v] =                               \
                    STEP(acc[r][v], row, column[v]);                                               \
            }                                                                                      \
        }                                                                                          \
        UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < VECTORS; v++)             \
            STORE(out + r * stride + first + 8 * v, acc[r][v]);                                    \
    }

#define SAME(x) (x)

/// A word's two bfloat16, or four bytes, as two vectors.
typedef struct halves {
    __m256i low;
    __m256i high;
} halves;

TARGET_AVX2 INLINE __m256i load_words(const uint32_t *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

TARGET_AVX2 INLINE __m256i load_sums(const int32_t *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

TARGET_AVX2 INLINE void store_sums(int32_t *to, __m256i sums) {
    _mm256_storeu_si256((__m256i *)to, sums);
}

#define STEP_F32(acc, row, column)                                                                 \
    _mm256_fmadd_ps(_mm256_castsi256_ps(row), _mm256_castsi256_ps(column), acc)

TARGET_AVX2 INLINE halves split_bf16(__m256i word) {
    return (halves){_mm256_slli_epi32(word, 16),
                    _mm256_and_si256(word, _mm256_set1_epi32((int)0xffff0000))};
}

TARGET_AVX2 INLINE __m256 step_split_bf16(__m256 acc, halves row, halves column) {
    acc = STEP_F32(acc, row.low, column.low);
    return STEP_F32(acc, row.high, column.high);
}

TARGET_AVX2 INLINE halves split_signed(__m256i word) {
    return (halves){_mm256_srai_epi16(_mm256_slli_epi16(word, 8), 8), _mm256_srai_epi16(word, 8)};
}

TARGET_AVX2 INLINE halves split_unsigned(__m256i word) {
    return (halves){_mm256_and_si256(word, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(word, 8)};
}

TARGET_AVX2 INLINE __m256i step_split_i8(__m256i acc, halves row, halves column) {
    const __m256i low = _mm256_madd_epi16(row.low, column.low);
    return _mm256_add_epi32(acc, _mm256_add_epi32(low, _mm256_madd_epi16(row.high, column.high)));
}

#define FLOAT_TILE(NAME, WIDE, PREPARE, STEP, WORD_STEP, ROW_STEP)                                 \
    TARGET_AVX2 static void NAME(float *out, size_t stride, const uint32_t *rows, size_t row_step, \
                                 const uint32_t *columns, size_t words, int accumulate) {          \
        (void)row_step;                                                                            \
        STRIPES(__m256, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, WIDE, PREPARE,       \
                PREPARE, STEP, WORD_STEP, ROW_STEP)                                                \
    }

FLOAT_TILE(f32_panel, __m256i, SAME, STEP_F32, ROWS, 1)
FLOAT_TILE(f32_rows, __m256i, SAME, STEP_F32, 1, row_step)
FLOAT_TILE(bf16_panel, halves, split_bf16, step_split_bf16, ROWS, 1)
FLOAT_TILE(bf16_rows, halves, split_bf16, step_split_bf16, 1, row_step)

TARGET_AVX2 static void i8_panel(int32_t *out, size_t stride, const uint32_t *rows,
                                 const uint32_t *columns, size_t words, int accumulate) {
    STRIPES(__m256i, _mm256_setzero_si256, load_sums, store_sums, halves, split_signed,
            split_unsigned, step_split_i8, ROWS, 1)
}

const tile_set tiles_avx2 = {f32_panel, bf16_panel, i8_panel, f32_rows, bf16_rows};
#endif
