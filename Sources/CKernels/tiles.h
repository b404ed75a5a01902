// The innermost loops of products, one set a level. A tile is KERNEL_PANEL_ROWS rows by
// KERNEL_PANEL_COLUMNS columns; it fills the registers.
#ifndef DREAMFARM_TILES_H
#define DREAMFARM_TILES_H

#include "include/product.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/// out (rows, columns) (+)= rows * columns over `words` words. Word g of row r of the left side is
/// at [g * word_step + r * row_step]: 6 and 1 in a panel, 1 and the row's length in a matrix.
typedef void float_tile(float *out, size_t stride, const uint32_t *rows, size_t row_step,
                        const uint32_t *columns, size_t words, int accumulate);
typedef void bytes_tile(int32_t *out, size_t stride, const uint32_t *rows, const uint32_t *columns,
                        size_t words, int accumulate);

/// The tiles of a level.
typedef struct tile_set {
    /// Of a panel of rows.
    float_tile *f32;
    float_tile *bf16;
    bytes_tile *i8;
    /// Of rows in a matrix, `row_step` words apart.
    float_tile *f32_rows;
    float_tile *bf16_rows;
} tile_set;

const tile_set *tiles_of(kernel_level level);

extern const tile_set tiles_scalar;
#if defined(__x86_64__)
extern const tile_set tiles_avx2;
extern const tile_set tiles_avx512;
extern const tile_set tiles_avx512_vnni;
extern const tile_set tiles_avx512_bf16;
#endif

#endif
