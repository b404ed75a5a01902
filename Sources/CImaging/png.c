#include "CImaging.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    // Bytes that one ancillary chunk may take in memory, and how many of them may be kept.
    CHUNK_BYTES = 8 * 1024 * 1024,
    CHUNK_COUNT = 256,
    // Fast and still within a few per cent of the smallest file for photographs.
    COMPRESSION_LEVEL = 4,
};

// What the callbacks of one reading or writing share.
typedef struct png_state {
    const uint8_t *bytes;
    size_t count, offset;
    uint8_t *output;
    size_t output_count, output_capacity;
    imaging_status status;
    char *message;
} png_state;

static void fail(png_structp png, png_const_charp message) {
    png_state *state = png_get_error_ptr(png);
    if (state->status == IMAGING_OK)
        state->status = IMAGING_BROKEN;
    snprintf(state->message, IMAGING_MESSAGE_SIZE, "%s", message);
    png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void take(png_structp png, png_bytep out, size_t count) {
    png_state *state = png_get_io_ptr(png);
    if (count > state->count - state->offset) {
        state->status = IMAGING_TRUNCATED;
        png_error(png, "the file ends early");
    }
    memcpy(out, state->bytes + state->offset, count);
    state->offset += count;
}

static void put(png_structp png, png_bytep bytes, size_t count) {
    png_state *state = png_get_io_ptr(png);
    if (count > state->output_capacity - state->output_count) {
        size_t capacity = 2 * state->output_capacity + count;
        uint8_t *grown = realloc(state->output, capacity);
        if (grown == NULL) {
            state->status = IMAGING_OUT_OF_MEMORY;
            png_error(png, "no memory for the file");
        }
        state->output = grown;
        state->output_capacity = capacity;
    }
    memcpy(state->output + state->output_count, bytes, count);
    state->output_count += count;
}

static void flush(png_structp png) { (void)png; }

// Reads up to the pixels. Text and profiles are skipped unless wanted: they can be bombs too.
static void read_info(png_structp png, png_infop info, png_state *state, int wants_texts) {
    static const png_byte skipped[] = "iCCP\0sPLT\0tEXt\0zTXt\0iTXt";
    png_set_read_fn(png, state, take);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_chunk_cache_max(png, CHUNK_COUNT);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, wants_texts ? 2 : 5);
    png_read_info(png, info);
}

static imaging_header described(png_structp png, png_infop info) {
    int has_alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                    png_get_valid(png, info, PNG_INFO_tRNS) != 0;
    imaging_header header = {png_get_image_width(png, info), png_get_image_height(png, info),
                             has_alpha ? 4 : 3};
    return header;
}

static imaging_status out_of_memory(char *message) {
    snprintf(message, IMAGING_MESSAGE_SIZE, "no memory for the decoder");
    return IMAGING_OUT_OF_MEMORY;
}

imaging_status imaging_png_header(imaging_header *header, char *message, const uint8_t *bytes,
                                  size_t count) {
    png_state state = {.bytes = bytes, .count = count, .message = message};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, fail, ignore);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return out_of_memory(message);
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        read_info(png, info, &state, 0);
        *header = described(png, info);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return state.status;
}

// Decodes to 8-bit RGB or RGBA: palettes and small grays are expanded, of 16 bits the high byte
// stays, colours are not managed.
static void read_pixels(png_structp png, png_infop info, png_bytep *rows, uint8_t *pixels,
                        imaging_header header) {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t row_bytes = (size_t)header.width * header.channels;
    if (png_get_rowbytes(png, info) != row_bytes)
        png_error(png, "the rows have an unexpected size");
    for (size_t y = 0; y < header.height; y++)
        rows[y] = pixels + y * row_bytes;
    png_read_image(png, rows);
    png_read_end(png, info);
}

imaging_status imaging_png_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count, char *message,
                                  const uint8_t *bytes, size_t count, imaging_header header) {
    png_state state = {.bytes = bytes, .count = count, .message = message};
    png_bytep *rows = malloc(sizeof(png_bytep) * header.height);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, fail, ignore);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    *exif_count = 0;
    if (info == NULL || rows == NULL) {
        png_destroy_read_struct(&png, &info, NULL);
        free(rows);
        return out_of_memory(message);
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        read_info(png, info, &state, 0);
        read_pixels(png, info, rows, pixels, header);
        png_bytep found = NULL;
        png_uint_32 found_count = 0;
        if (png_get_eXIf_1(png, info, &found_count, &found) != 0 && found != NULL) {
            *exif_count = found_count < IMAGING_EXIF_SIZE ? found_count : IMAGING_EXIF_SIZE;
            memcpy(exif, found, *exif_count);
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    return state.status;
}

static int is_ascii(const char *text) {
    for (; *text != 0; text++)
        if ((unsigned char)*text > 126)
            return 0;
    return 1;
}

// Hands the pairs to libpng one at a time; it copies them.
static void set_texts(png_structp png, png_infop info, const char *texts, size_t text_count) {
    for (size_t i = 0; i < text_count; i++) {
        png_text text = {0};
        text.key = (png_charp)texts;
        texts += strlen(texts) + 1;
        text.text = (png_charp)texts;
        texts += strlen(texts) + 1;
        if (is_ascii(text.text)) {
            text.compression = PNG_TEXT_COMPRESSION_NONE;
            text.text_length = strlen(text.text);
        } else {
            text.compression = PNG_ITXT_COMPRESSION_NONE;
            text.itxt_length = strlen(text.text);
        }
        png_set_text(png, info, &text, 1);
    }
}

imaging_status imaging_png_encode(uint8_t **file, size_t *file_count, char *message,
                                  const uint8_t *pixels, const char *texts, size_t text_count,
                                  uint32_t width, uint32_t height) {
    png_state state = {.message = message};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, fail, ignore);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    *file = NULL;
    *file_count = 0;
    if (info == NULL) {
        png_destroy_write_struct(&png, NULL);
        return out_of_memory(message);
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        png_set_write_fn(png, &state, put, flush);
        png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
        png_set_compression_level(png, COMPRESSION_LEVEL);
        png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        set_texts(png, info, texts, text_count);
        png_write_info(png, info);
        for (size_t y = 0; y < height; y++)
            png_write_row(png, pixels + 3 * (size_t)width * y);
        png_write_end(png, NULL);
    }
    png_destroy_write_struct(&png, &info);
    if (state.status != IMAGING_OK) {
        free(state.output);
        return state.status;
    }
    *file = state.output;
    *file_count = state.output_count;
    return IMAGING_OK;
}

// Appends every text chunk to the state's output.
static void put_texts(png_structp png, png_infop info, size_t *text_count) {
    png_textp found = NULL;
    int found_count = 0;
    png_get_text(png, info, &found, &found_count);
    for (int i = 0; i < found_count; i++) {
        png_byte kind = found[i].compression >= PNG_ITXT_COMPRESSION_NONE ? 'U' : 'L';
        const char *text = found[i].text == NULL ? "" : found[i].text;
        put(png, &kind, 1);
        put(png, (png_bytep)found[i].key, strlen(found[i].key) + 1);
        put(png, (png_bytep)text, strlen(text) + 1);
    }
    *text_count = (size_t)found_count;
}

imaging_status imaging_png_texts(uint8_t **texts, size_t *texts_size, size_t *text_count,
                                 char *message, const uint8_t *bytes, size_t count) {
    png_state state = {.bytes = bytes, .count = count, .message = message};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, fail, ignore);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    *texts = NULL;
    *texts_size = 0;
    *text_count = 0;
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return out_of_memory(message);
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        read_info(png, info, &state, 1);
        put_texts(png, info, text_count);
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (state.status != IMAGING_OK) {
        free(state.output);
        return state.status;
    }
    *texts = state.output;
    *texts_size = state.output_count;
    return IMAGING_OK;
}
