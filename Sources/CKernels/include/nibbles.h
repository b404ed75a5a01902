// Weights in four bits that become bytes before a product.
//
// An output's inputs are cut into groups of 64. The value of an input is scale * factor * nibble:
// the factor is its group's, a whole number of 1 to 18, the nibble -8 to 7, and their product is a
// byte. So products are those of bytes, exactly. The two-level scale is QServe's (arXiv 2405.04532,
// section 4.1), with whole factors in place of eight-bit scales and zeros.
//
// A panel of KERNEL_PANEL_COLUMNS outputs is first the factors, those of four groups in a word,
// then the nibbles, offset by 8: two words of bytes in one, the first in the low halves of its
// bytes. Words lie as in a panel of bytes: word g of output c is at [g * KERNEL_PANEL_COLUMNS + c].
#ifndef DREAMFARM_NIBBLES_H
#define DREAMFARM_NIBBLES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The words of an output of so many inputs.
ptrdiff_t kernel_nibble_words(ptrdiff_t inputs);

/// Writes a panel from `outputs` lines of a weight, those that lack as zeros; and each output's
/// scale and the sum of its bytes. A group's factor is the one of the least squared error.
void kernel_quantize_nibble_columns(void *out, float *scale, int32_t *sum, const float *w,
                                    size_t outputs, size_t inputs, size_t stride);

/// Writes words `first` to `first + count` of a panel's bytes; `words` is how many there are, and
/// `first` is a multiple of KERNEL_RUN_WORDS.
void kernel_nibbles_to_bytes(void *out, const void *panel, size_t words, size_t first,
                             size_t count);

#ifdef __cplusplus
}
#endif

#endif
