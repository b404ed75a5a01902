#ifndef KERNELS_REDUCTION_H
#define KERNELS_REDUCTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Sums over the ranks of a group. The own values stand at `place` in the order of ranks: `parts`
// are the values (n) of the other `count` ranks, those before `place` first. Additions are made in
// the order of ranks, so that the result does not depend on who adds.

/// values[i] = parts[0][i] + … + values[i] + … + parts[count - 1][i].
void kernel_sum_ranks_f32(float *values, const float *const *parts, size_t count, size_t place,
                          size_t n);
/// The scalar twin of `kernel_sum_ranks_f32`.
void kernel_sum_ranks_f32_scalar(float *values, const float *const *parts, size_t count,
                                 size_t place, size_t n);

/// As `kernel_sum_ranks_f32` with parts in bfloat16. The sum is rounded to bfloat16, ties to even:
/// as such it goes to rounded (n), and widened to values.
void kernel_sum_ranks_bf16(float *values, uint16_t *rounded, const uint16_t *const *parts,
                           size_t count, size_t place, size_t n);
/// The scalar twin of `kernel_sum_ranks_bf16`.
void kernel_sum_ranks_bf16_scalar(float *values, uint16_t *rounded, const uint16_t *const *parts,
                                  size_t count, size_t place, size_t n);

#ifdef __cplusplus
}
#endif

#endif
