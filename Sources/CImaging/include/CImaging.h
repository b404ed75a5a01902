// The picture libraries and the pixel loops behind plain C functions.
//
// libpng and libjpeg report errors by longjmp, which must not cross Swift frames: each function
// here catches its own. Nothing keeps state between calls; the caller owns every buffer unless a
// comment says otherwise. Pixels are 8-bit, row-major, interleaved.
#ifndef CIMAGING_H
#define CIMAGING_H

#include <stddef.h>
#include <stdint.h>

// What a codec function returns. The message that goes with it names the library's own finding.
typedef enum imaging_status {
    IMAGING_OK = 0,
    IMAGING_TRUNCATED = 1,
    IMAGING_BROKEN = 2,
    IMAGING_UNSUPPORTED = 3,
    IMAGING_OUT_OF_MEMORY = 4,
} imaging_status;

enum {
    // Bytes of a message with its end.
    IMAGING_MESSAGE_SIZE = 256,
    // Bytes of EXIF data that are kept; the orientation stands in the first directory.
    IMAGING_EXIF_SIZE = 65536,
};

// The size that a file's header states, and the channels that decoding it yields: 3 for RGB,
// 4 for RGBA where the file has alpha or a transparent colour.
typedef struct imaging_header {
    uint32_t width, height, channels;
} imaging_header;

// Read a header without decoding pixels. `message` has IMAGING_MESSAGE_SIZE bytes.
imaging_status imaging_png_header(imaging_header *header, char *message, const uint8_t *bytes,
                                  size_t count);
imaging_status imaging_jpeg_header(imaging_header *header, char *message, const uint8_t *bytes,
                                   size_t count);
imaging_status imaging_webp_header(imaging_header *header, char *message, const uint8_t *bytes,
                                   size_t count);

// Decode. `pixels` is (height, width, channels) as `header`, read from the same bytes, says.
// `exif` has IMAGING_EXIF_SIZE bytes and receives `exif_count` of them, a TIFF structure that may
// stand behind "Exif\0\0". An animation yields its first frame.
imaging_status imaging_png_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count, char *message,
                                  const uint8_t *bytes, size_t count, imaging_header header);
imaging_status imaging_jpeg_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count,
                                   char *message, const uint8_t *bytes, size_t count,
                                   imaging_header header);
imaging_status imaging_webp_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count,
                                   char *message, const uint8_t *bytes, size_t count,
                                   imaging_header header);

// Encodes (height, width, 3) as a PNG. `texts` holds `text_count` pairs of keyword and UTF-8 text,
// each ended by a zero byte: ASCII texts become tEXt chunks, others iTXt. `file` receives memory
// that the caller frees with `free`.
imaging_status imaging_png_encode(uint8_t **file, size_t *file_count, char *message,
                                  const uint8_t *pixels, const char *texts, size_t text_count,
                                  uint32_t width, uint32_t height);

// Encodes (height, width, 3) as a baseline JPEG of a quality in 1...100, its colours at half the
// resolution. `file` has `*file_count` bytes, ten a pixel of sides rounded up to 16 and 4096 more,
// and receives as many as `*file_count` says then.
imaging_status imaging_jpeg_encode(uint8_t *file, size_t *file_count, char *message,
                                   const uint8_t *pixels, uint32_t width, uint32_t height,
                                   int quality);

// Reads the text chunks that stand before a PNG's pixels. `texts` receives memory that the caller
// frees with `free`: for each of `text_count` chunks the byte 'U' (UTF-8) or 'L' (Latin-1), then
// keyword and text, each ended by a zero byte.
imaging_status imaging_png_texts(uint8_t **texts, size_t *texts_size, size_t *text_count,
                                 char *message, const uint8_t *bytes, size_t count);

// Blends RGBA over white: rgb is (count, 3), rgba is (count, 4).
void imaging_flatten(uint8_t *rgb, const uint8_t *rgba, size_t count);

// Turns an image as EXIF's orientation 1...8 asks: rgb is (height, width, 3), out is the same for
// orientations 1...4 and (width, height, 3) for 5...8.
void imaging_orient(uint8_t *out, const uint8_t *rgb, size_t width, size_t height, int orientation);

// One source sample of an output sample: its index and its share.
typedef struct imaging_tap {
    int32_t source;
    float weight;
} imaging_tap;

// Two neighbouring source samples of an output sample with their shares of 2048.
typedef struct imaging_pair {
    int32_t first, second, first_weight, second_weight;
} imaging_pair;

// Averages whole cells of (cell_height, cell_width): out is (height, width, 3), rgb is
// (height * cell_height, width * cell_width, 3).
void imaging_shrink_cells(uint8_t *out, const uint8_t *rgb, size_t width, size_t height,
                          size_t cell_width, size_t cell_height);

// Averages weighted areas: out is (height, width, 3), rgb is (_, source_width, 3). Output sample i
// of an axis takes the taps starts[i] ..< starts[i + 1]. `scratch` is (2, width, 3).
void imaging_shrink_area(uint8_t *out, float *scratch, const uint8_t *rgb,
                         const imaging_tap *x_taps, const int32_t *x_starts,
                         const imaging_tap *y_taps, const int32_t *y_starts, size_t source_width,
                         size_t width, size_t height);

// Blends neighbours in fixed point: out is (height, width, 3), rgb is (_, source_width, 3).
// `scratch` is (2, width, 3).
void imaging_blend_pairs(uint8_t *out, int32_t *scratch, const uint8_t *rgb,
                         const imaging_pair *x_pairs, const imaging_pair *y_pairs,
                         size_t source_width, size_t width, size_t height);

#endif
