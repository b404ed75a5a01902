// Matrix products over packed operands: out[r, c] = sum over k of a[r, k] * w[c, k].
//
// Both operands are cut along k into words of four bytes: one float32, two bfloat16 or four bytes.
// A panel of rows holds KERNEL_PANEL_ROWS rows, word by word: word g of row r is at
// [g * KERNEL_PANEL_ROWS + r]. A panel of columns holds KERNEL_PANEL_COLUMNS columns of the output
// likewise. What lacks to a whole panel or word is zero. The products of a row and a column are
// summed in the order of k, in runs that depend on `words` alone: neither how a matrix is cut into
// blocks nor the count of threads can be seen in the result.
#ifndef DREAMFARM_PRODUCT_H
#define DREAMFARM_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KERNEL_PANEL_ROWS 6
#define KERNEL_PANEL_COLUMNS 64
/// Words of a run: its part of a panel of columns stays in the second-level cache.
#define KERNEL_RUN_WORDS 1024

/// The instructions that products use; each level has those before it.
typedef enum kernel_level {
    /// Plain C, the yardstick of the tests.
    KERNEL_LEVEL_SCALAR = 0,
    /// AVX2 and FMA.
    KERNEL_LEVEL_AVX2 = 1,
    /// AVX-512 F, BW, DQ and VL.
    KERNEL_LEVEL_AVX512 = 2,
    /// AVX-512 VNNI.
    KERNEL_LEVEL_AVX512_VNNI = 3,
    /// AVX512_BF16.
    KERNEL_LEVEL_AVX512_BF16 = 4,
} kernel_level;

/// What a word holds.
typedef enum kernel_format {
    /// One float32.
    KERNEL_FORMAT_F32 = 0,
    /// Two bfloat16.
    KERNEL_FORMAT_BF16 = 1,
    /// Four bytes: unsigned in rows, signed in columns.
    KERNEL_FORMAT_I8 = 2,
} kernel_format;

/// The best level of this processor.
kernel_level kernel_best_level(void);
/// The name of a level, such as `avx512_bf16`.
const char *kernel_level_name(kernel_level level);

/// How a row's bytes and a column's bytes become numbers: the value of a[r, k] is
/// scale[r] * (byte - zero[r]), that of w[c, k] is column_scale[c] * byte.
typedef struct kernel_scales {
    const float *row_scale;
    const int32_t *row_zero;
    const float *column_scale;
    /// The sum of each column's bytes.
    const int32_t *column_sum;
} kernel_scales;

/// out[r, c] (+)= the product of `panels` panels of rows with one panel of columns, in float32
/// sums. out is (panels * KERNEL_PANEL_ROWS, KERNEL_PANEL_COLUMNS); format is F32 or BF16.
void kernel_product_float(float *out, size_t stride, const void *rows, const void *columns,
                          size_t panels, size_t words, kernel_format format, int accumulate,
                          kernel_level level);

/// out[r, c] (+)= the same for bytes, in int32 sums. `sums` is room for
/// (panels * KERNEL_PANEL_ROWS, KERNEL_PANEL_COLUMNS). Where there is `room`, for KERNEL_RUN_WORDS
/// words of a panel of columns, the columns are of nibbles and become bytes there.
void kernel_product_bytes(float *out, size_t stride, int32_t *sums, const void *rows,
                          const void *columns, void *room, size_t panels, size_t words,
                          kernel_scales scales, int accumulate, kernel_level level);

#ifdef __cplusplus
}
#endif

#endif
