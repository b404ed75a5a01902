#include "CImaging.h"

#include <stdio.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static imaging_status failed(char *message, VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
        snprintf(message, IMAGING_MESSAGE_SIZE, "the file ends early");
        return IMAGING_TRUNCATED;
    case VP8_STATUS_OUT_OF_MEMORY:
        snprintf(message, IMAGING_MESSAGE_SIZE, "no memory for the decoder");
        return IMAGING_OUT_OF_MEMORY;
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        snprintf(message, IMAGING_MESSAGE_SIZE, "a feature that libwebp lacks");
        return IMAGING_UNSUPPORTED;
    default:
        snprintf(message, IMAGING_MESSAGE_SIZE, "the bitstream is invalid");
        return IMAGING_BROKEN;
    }
}

// The RIFF container states its size; the pixels may be there where what follows them is not.
static int is_cut(const uint8_t *bytes, size_t count) {
    if (count < 12)
        return 1;
    uint64_t stated = (uint64_t)bytes[4] | (uint64_t)bytes[5] << 8 | (uint64_t)bytes[6] << 16 |
                      (uint64_t)bytes[7] << 24;
    return stated + 8 > count;
}

imaging_status imaging_webp_header(imaging_header *header, char *message, const uint8_t *bytes,
                                   size_t count) {
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(bytes, count, &features);
    if (code != VP8_STATUS_OK)
        return failed(message, code);
    int has_alpha = features.has_alpha || features.has_animation;
    *header =
        (imaging_header){(uint32_t)features.width, (uint32_t)features.height, has_alpha ? 4 : 3};
    return IMAGING_OK;
}

static void copy_exif(uint8_t *exif, size_t *exif_count, const uint8_t *bytes, size_t count) {
    WebPData data = {bytes, count};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (demuxer == NULL)
        return;
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        *exif_count = chunk.chunk.size < IMAGING_EXIF_SIZE ? chunk.chunk.size : IMAGING_EXIF_SIZE;
        memcpy(exif, chunk.chunk.bytes, *exif_count);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(demuxer);
}

// pixels is (height, width, 4): the first frame on a transparent canvas.
static VP8StatusCode decode_animation(uint8_t *pixels, const uint8_t *bytes, size_t count,
                                      imaging_header header) {
    WebPData data = {bytes, count};
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, NULL);
    if (decoder == NULL)
        return VP8_STATUS_BITSTREAM_ERROR;
    WebPAnimInfo info;
    uint8_t *frame = NULL;
    int timestamp = 0;
    VP8StatusCode code = VP8_STATUS_BITSTREAM_ERROR;
    if (WebPAnimDecoderGetInfo(decoder, &info) && info.canvas_width == header.width &&
        info.canvas_height == header.height &&
        WebPAnimDecoderGetNext(decoder, &frame, &timestamp)) {
        memcpy(pixels, frame, (size_t)header.width * header.height * 4);
        code = VP8_STATUS_OK;
    }
    WebPAnimDecoderDelete(decoder);
    return code;
}

// pixels is (height, width, channels).
static VP8StatusCode decode_still(uint8_t *pixels, WebPDecoderConfig *config, const uint8_t *bytes,
                                  size_t count, imaging_header header) {
    config->output.colorspace = header.channels == 4 ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = pixels;
    config->output.u.RGBA.stride = (int)(header.width * header.channels);
    config->output.u.RGBA.size = (size_t)header.width * header.height * header.channels;
    VP8StatusCode code = WebPDecode(bytes, count, config);
    WebPFreeDecBuffer(&config->output);
    return code;
}

imaging_status imaging_webp_decode(uint8_t *pixels, uint8_t *exif, size_t *exif_count,
                                   char *message, const uint8_t *bytes, size_t count,
                                   imaging_header header) {
    *exif_count = 0;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return failed(message, VP8_STATUS_UNSUPPORTED_FEATURE);
    if (is_cut(bytes, count))
        return failed(message, VP8_STATUS_NOT_ENOUGH_DATA);
    VP8StatusCode code = WebPGetFeatures(bytes, count, &config.input);
    if (code != VP8_STATUS_OK)
        return failed(message, code);
    code = config.input.has_animation ? decode_animation(pixels, bytes, count, header)
                                      : decode_still(pixels, &config, bytes, count, header);
    if (code != VP8_STATUS_OK)
        return failed(message, code);
    copy_exif(exif, exif_count, bytes, count);
    return IMAGING_OK;
}
