// A C face over the SentencePiece library: loading a model and asking for its pieces.
//
// Every function catches what the library throws. Outputs come first, then inputs, then sizes.
#ifndef CSENTENCEPIECE_H
#define CSENTENCEPIECE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A loaded model.
typedef struct sentencepiece_model sentencepiece_model;

// Loads the model at `path`. Returns 0 and sets `*model`, which the caller frees; otherwise returns
// the library's status code (or -1 for an exception), sets `*model` to null and writes the reason,
// cut to `message_capacity` and NUL-terminated, to `message`.
int sentencepiece_load(sentencepiece_model **model, char *message, const char *path,
                       size_t message_capacity);

// Frees a model; null is allowed.
void sentencepiece_free(sentencepiece_model *model);

// Returns the count of pieces.
int32_t sentencepiece_size(const sentencepiece_model *model);

// Returns the id of the unknown piece, or a negative number.
int32_t sentencepiece_unknown_id(const sentencepiece_model *model);

// Returns the piece's UTF-8 bytes, valid while the model lives, and sets `*length`; returns null
// when `id` is outside 0 ..< size.
const char *sentencepiece_piece(size_t *length, const sentencepiece_model *model, int32_t id);

// Returns the piece's log probability, or 0 when `id` is outside 0 ..< size.
float sentencepiece_score(const sentencepiece_model *model, int32_t id);

// Returns the id of a piece of `length` bytes, or the unknown id when there is none.
int32_t sentencepiece_piece_id(const sentencepiece_model *model, const char *piece, size_t length);

// Encodes `length` bytes of UTF-8 as the library does by itself. Sets `*count` to the count of ids,
// and writes as many of them as fit in `ids` (capacity,). Returns 0, or a code as above.
int sentencepiece_encode(int32_t *ids, size_t *count, const sentencepiece_model *model,
                         const char *text, size_t length, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
