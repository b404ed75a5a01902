// Packing into the panels of product.h.
#ifndef DREAMFARM_PACK_H
#define DREAMFARM_PACK_H

#include "product.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Packs a panel of rows as float32 or bfloat16. x is (rows, columns), rows at most
/// KERNEL_PANEL_ROWS; the rows that lack, and what lacks to the last word, become zero.
void kernel_pack_rows(void *out, const float *x, size_t rows, size_t columns, size_t stride,
                      kernel_format format);

/// Packs a panel of rows as unsigned bytes: each row has a scale and a zero of its own, which
/// put its least and greatest value, and 0, at whole numbers of 0...255. scale and zero are
/// (KERNEL_PANEL_ROWS); x as in `kernel_pack_rows`.
void kernel_quantize_rows(void *out, float *scale, int32_t *zero, const float *x, size_t rows,
                          size_t columns, size_t stride);

/// The same of a row of bfloat16: x is (rows, columns) with the stride in values.
void kernel_quantize_bf16_rows(void *out, float *scale, int32_t *zero, const uint16_t *x,
                               size_t rows, size_t columns, size_t stride);

/// Packs a panel of columns as float32 or bfloat16: w is (outputs, inputs), each of its rows a
/// column of the product; outputs at most KERNEL_PANEL_COLUMNS.
void kernel_pack_columns(void *out, const float *w, size_t outputs, size_t inputs, size_t stride,
                         kernel_format format);

/// Packs a panel of columns as signed bytes, each with the scale that puts its greatest magnitude
/// at 127; sum is the sum of a column's bytes. scale and sum are (KERNEL_PANEL_COLUMNS).
void kernel_quantize_columns(void *out, float *scale, int32_t *sum, const float *w, size_t outputs,
                             size_t inputs, size_t stride);

/// Packs a panel of columns as float32 or bfloat16 from a matrix that is the other way round: w is
/// (inputs, outputs). `words` words are written; those beyond the inputs become zero.
void kernel_pack_columns_transposed(void *out, const float *w, size_t inputs, size_t outputs,
                                    size_t stride, size_t words, kernel_format format);

#ifdef __cplusplus
}
#endif

#endif
