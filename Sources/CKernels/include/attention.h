// Attention in one pass over the keys, with an online softmax: no matrix of queries by keys is
// ever in memory. After Dao et al., "FlashAttention" (2022), with the loops of a processor's
// caches.
#ifndef DREAMFARM_ATTENTION_H
#define DREAMFARM_ATTENTION_H

#include "product.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Queries that one call takes at most.
#define KERNEL_ATTENTION_QUERIES 96

/// Bytes of room that one call needs.
size_t kernel_attention_room(size_t width);

/// The keys of a head: panels of columns over the width.
typedef struct kernel_keys {
    const void *panels;
    /// Of bytes: what a key's are to be multiplied by, and their sum; whole panels of keys.
    const float *scale;
    const int32_t *sum;
} kernel_keys;

/// out = softmax(scale * q * k^T) * v for one head. q and out are (queries, width) in float32, at
/// most KERNEL_ATTENTION_QUERIES rows. Keys are in `format`; values are panels of columns over the
/// keys, each panel some of the width, their words a whole number of 64 keys, in `format`, too, but
/// in BF16 where that is I8. The products are in what they are of. room is 64-byte aligned.
void kernel_attention(float *out, size_t out_stride, const float *q, size_t q_stride,
                      kernel_keys keys, const void *values, size_t queries, size_t key_count,
                      size_t width, float scale, kernel_format format, void *room,
                      kernel_level level);

#ifdef __cplusplus
}
#endif

#endif
