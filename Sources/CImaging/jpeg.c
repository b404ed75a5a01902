#include "CImaging.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum {
    // A progressive file with more scans than this is made to cost time.
    MAX_SCANS = 200,
};

// libjpeg's error state with the way back and what was found; `base` must stand first.
typedef struct jpeg_state {
    struct jpeg_error_mgr base;
    jmp_buf back;
    imaging_status status;
    int ended_early;
    char *message;
} jpeg_state;

static _Noreturn void leave(j_common_ptr codec, imaging_status status) {
    jpeg_state *state = (jpeg_state *)codec->err;
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    snprintf(state->message, IMAGING_MESSAGE_SIZE, "%s", text);
    state->status = state->ended_early ? IMAGING_TRUNCATED : status;
    longjmp(state->back, 1);
}

static _Noreturn void fail(j_common_ptr codec) {
    switch (codec->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        leave(codec, IMAGING_OUT_OF_MEMORY);
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        leave(codec, IMAGING_UNSUPPORTED);
    default:
        leave(codec, IMAGING_BROKEN);
    }
}

// Turns the warnings that mean lost pixels into errors; the harmless ones pass.
static void judge(j_common_ptr codec, int severity) {
    if (severity >= 0)
        return;
    switch (codec->err->msg_code) {
    case JWRN_JPEG_EOF:
        ((jpeg_state *)codec->err)->ended_early = 1;
        return;
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
        leave(codec, IMAGING_BROKEN);
    default:
        return;
    }
}

static void stay_silent(j_common_ptr codec) { (void)codec; }

static void count_scans(j_common_ptr codec) {
    if (((j_decompress_ptr)codec)->input_scan_number > MAX_SCANS)
        ERREXIT(codec, JERR_BAD_PROGRESSION);
}

static struct jpeg_error_mgr *errors_of(jpeg_state *state) {
    jpeg_std_error(&state->base);
    state->base.error_exit = fail;
    state->base.emit_message = judge;
    state->base.output_message = stay_silent;
    return &state->base;
}

static void prepare(struct jpeg_decompress_struct *codec, jpeg_state *state) {
    memset(codec, 0, sizeof *codec);
    codec->err = errors_of(state);
}

imaging_status imaging_jpeg_header(imaging_header *header, char *message, const uint8_t *bytes,
                                   size_t count) {
    struct jpeg_decompress_struct codec;
    jpeg_state state = {.message = message};
    prepare(&codec, &state);
    if (setjmp(state.back) == 0) {
        jpeg_create_decompress(&codec);
        jpeg_mem_src(&codec, bytes, count);
        jpeg_read_header(&codec, TRUE);
        *header = (imaging_header){codec.image_width, codec.image_height, 3};
    }
    jpeg_destroy_decompress(&codec);
    return state.status;
}

// rgb is (width, 3), cmyk is (width, 4), both in the same memory: Adobe stores inverted inks.
static void flatten_inks(uint8_t *rgb, const uint8_t *cmyk, size_t width) {
    for (size_t x = 0; x < width; x++) {
        unsigned black = cmyk[4 * x + 3];
        for (size_t c = 0; c < 3; c++)
            rgb[3 * x + c] = (uint8_t)((cmyk[4 * x + c] * black + 127) / 255);
    }
}

static void copy_exif(uint8_t *exif, size_t *exif_count,
                      const struct jpeg_decompress_struct *codec) {
    for (jpeg_saved_marker_ptr marker = codec->marker_list; marker != NULL; marker = marker->next) {
        if (marker->marker != JPEG_APP0 + 1 || marker->data_length < 6 ||
            memcmp(marker->data, "Exif\0", 6) != 0)
            continue;
        *exif_count =
            marker->data_length < IMAGING_EXIF_SIZE ? marker->data_length : IMAGING_EXIF_SIZE;
        memcpy(exif, marker->data, *exif_count);
        return;
    }
}

// Decodes all rows, through one row of inks where the file has four of them.
static void read_rows(struct jpeg_decompress_struct *codec, uint8_t *pixels) {
    int has_inks = codec->jpeg_color_space == JCS_CMYK || codec->jpeg_color_space == JCS_YCCK;
    codec->out_color_space = has_inks ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(codec);
    size_t width = codec->output_width;
    JSAMPARRAY inks = (*codec->mem->alloc_sarray)((j_common_ptr)codec, JPOOL_IMAGE,
                                                  (JDIMENSION)(has_inks ? 4 * width : 1), 1);
    while (codec->output_scanline < codec->output_height) {
        uint8_t *row = pixels + 3 * width * codec->output_scanline;
        JSAMPROW target = has_inks ? inks[0] : row;
        jpeg_read_scanlines(codec, &target, 1);
        if (has_inks)
            flatten_inks(row, inks[0], width);
    }
}

imaging_status imaging_jpeg_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count,
                                   char *message, const uint8_t *bytes, size_t count,
                                   imaging_header header) {
    struct jpeg_decompress_struct codec;
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    jpeg_state state = {.message = message};
    prepare(&codec, &state);
    *exif_count = 0;
    if (setjmp(state.back) == 0) {
        jpeg_create_decompress(&codec);
        codec.progress = &progress;
        jpeg_mem_src(&codec, bytes, count);
        jpeg_save_markers(&codec, JPEG_APP0 + 1, 0xFFFF);
        jpeg_read_header(&codec, TRUE);
        if (codec.image_width != header.width || codec.image_height != header.height)
            ERREXIT(&codec, JERR_BAD_STATE);
        copy_exif(exif, exif_count, &codec);
        read_rows(&codec, pixels);
        // All rows of a single scan are there; a file of many scans may lack the last ones.
        if (state.ended_early && jpeg_has_multiple_scans(&codec))
            ERREXIT(&codec, JERR_INPUT_EOF);
    }
    jpeg_destroy_decompress(&codec);
    return state.status;
}

static void write_rows(struct jpeg_compress_struct *codec, const uint8_t *pixels, int quality) {
    codec->input_components = 3;
    codec->in_color_space = JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, quality, TRUE);
    jpeg_start_compress(codec, TRUE);
    while (codec->next_scanline < codec->image_height) {
        // libjpeg takes rows as writable and only reads them
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(pixels + (size_t)3 * codec->image_width * codec->next_scanline);
        jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
}

imaging_status imaging_jpeg_encode(uint8_t *file, size_t *file_count, char *message,
                                   const uint8_t *pixels, uint32_t width, uint32_t height,
                                   int quality) {
    struct jpeg_compress_struct codec;
    jpeg_state state = {.message = message};
    unsigned char *target = file;
    unsigned long count = *file_count;
    memset(&codec, 0, sizeof codec);
    codec.err = errors_of(&state);
    if (setjmp(state.back) == 0) {
        jpeg_create_compress(&codec);
        jpeg_mem_dest(&codec, &target, &count);
        codec.image_width = width;
        codec.image_height = height;
        write_rows(&codec, pixels, quality);
        *file_count = count;
        if (target != file) {
            // the room was too small, which its size rules out
            free(target);
            ERREXIT(&codec, JERR_BUFFER_SIZE);
        }
    }
    jpeg_destroy_compress(&codec);
    return state.status;
}
