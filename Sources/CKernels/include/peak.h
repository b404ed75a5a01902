#ifndef DREAMFARM_PEAK_H
#define DREAMFARM_PEAK_H

#include "product.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Multiplies and adds in registers alone, `rounds` times, and returns how many operations that
/// were, a multiplication and an addition each counted: the most that products can reach.
double kernel_peak_operations(kernel_format format, uint64_t rounds, kernel_level level);

#ifdef __cplusplus
}
#endif

#endif
