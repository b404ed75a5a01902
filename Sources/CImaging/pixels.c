#include "CImaging.h"

#include <math.h>
#include <string.h>

// The sums below must round alike on every machine.
#pragma STDC FP_CONTRACT OFF

// Rounds to the nearest level, ties to even, and clamps.
static uint8_t level(float value) {
    long rounded = lrintf(value);
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

// rgb is (count, 3), rgba is (count, 4).
void imaging_flatten(uint8_t *rgb, const uint8_t *rgba, size_t count) {
    for (size_t i = 0; i < count; i++) {
        unsigned alpha = rgba[4 * i + 3];
        for (size_t c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

// rgb is (height, width, 3), out is that or (width, height, 3).
void imaging_orient(uint8_t *out, const uint8_t *rgb, size_t width, size_t height,
                    int orientation) {
    // Where source (0, 0) goes, and how far a step along a source row or column moves.
    int swaps = orientation >= 5;
    ptrdiff_t out_width = (ptrdiff_t)(swaps ? height : width);
    ptrdiff_t out_height = (ptrdiff_t)(swaps ? width : height);
    int mirrors_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    int mirrors_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    ptrdiff_t step_x = mirrors_x ? -1 : 1;
    ptrdiff_t step_y = mirrors_y ? -out_width : out_width;
    ptrdiff_t start =
        (mirrors_x ? out_width - 1 : 0) + (mirrors_y ? (out_height - 1) * out_width : 0);
    ptrdiff_t along_row = swaps ? step_y : step_x;
    ptrdiff_t along_column = swaps ? step_x : step_y;
    for (size_t y = 0; y < height; y++) {
        ptrdiff_t target = start + (ptrdiff_t)y * along_column;
        const uint8_t *source = rgb + 3 * y * width;
        for (size_t x = 0; x < width; x++, source += 3, target += along_row)
            memcpy(out + 3 * target, source, 3);
    }
}

// out is (height, width, 3), rgb is (height * cell_height, width * cell_width, 3).
void imaging_shrink_cells(uint8_t *out, const uint8_t *rgb, size_t width, size_t height,
                          size_t cell_width, size_t cell_height) {
    size_t source_row = 3 * width * cell_width;
    float share = 1.0f / (float)(cell_width * cell_height);
    int is_two_by_two = cell_width == 2 && cell_height == 2;
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            const uint8_t *cell = rgb + y * cell_height * source_row + 3 * x * cell_width;
            for (size_t c = 0; c < 3; c++) {
                uint64_t sum = 0;
                for (size_t j = 0; j < cell_height; j++)
                    for (size_t i = 0; i < cell_width; i++)
                        sum += cell[j * source_row + 3 * i + c];
                // OpenCV rounds halves up for cells of 2 x 2, to even for all others.
                out[3 * (y * width + x) + c] =
                    is_two_by_two ? (uint8_t)((sum + 2) >> 2) : level((float)sum * share);
            }
        }
    }
}

// row is (width, 3), source is (_, 3).
static void gather_area(float *row, const uint8_t *source, const imaging_tap *taps,
                        const int32_t *starts, size_t width) {
    for (size_t x = 0; x < width; x++) {
        float r = 0, g = 0, b = 0;
        for (int32_t k = starts[x]; k < starts[x + 1]; k++) {
            const uint8_t *sample = source + 3 * taps[k].source;
            float weight = taps[k].weight;
            r += sample[0] * weight;
            g += sample[1] * weight;
            b += sample[2] * weight;
        }
        row[3 * x] = r;
        row[3 * x + 1] = g;
        row[3 * x + 2] = b;
    }
}

// out is (height, width, 3), rgb is (_, source_width, 3), scratch is (2, width, 3).
void imaging_shrink_area(uint8_t *out, float *scratch, const uint8_t *rgb,
                         const imaging_tap *x_taps, const int32_t *x_starts,
                         const imaging_tap *y_taps, const int32_t *y_starts, size_t source_width,
                         size_t width, size_t height) {
    size_t values = 3 * width;
    float *sum = scratch, *row = scratch + values;
    for (size_t y = 0; y < height; y++) {
        memset(sum, 0, values * sizeof(float));
        for (int32_t k = y_starts[y]; k < y_starts[y + 1]; k++) {
            gather_area(row, rgb + 3 * source_width * (size_t)y_taps[k].source, x_taps, x_starts,
                        width);
            float weight = y_taps[k].weight;
            for (size_t i = 0; i < values; i++)
                sum[i] += weight * row[i];
        }
        for (size_t i = 0; i < values; i++)
            out[y * values + i] = level(sum[i]);
    }
}

// row is (width, 3), source is (_, 3); values are levels times 2048.
static void blend_row(int32_t *row, const uint8_t *source, const imaging_pair *pairs,
                      size_t width) {
    for (size_t x = 0; x < width; x++) {
        imaging_pair pair = pairs[x];
        for (size_t c = 0; c < 3; c++)
            row[3 * x + c] = source[3 * pair.first + (int32_t)c] * pair.first_weight +
                             source[3 * pair.second + (int32_t)c] * pair.second_weight;
    }
}

// out is (height, width, 3), rgb is (_, source_width, 3), scratch is (2, width, 3).
void imaging_blend_pairs(uint8_t *out, int32_t *scratch, const uint8_t *rgb,
                         const imaging_pair *x_pairs, const imaging_pair *y_pairs,
                         size_t source_width, size_t width, size_t height) {
    size_t values = 3 * width;
    int32_t *rows[2] = {scratch, scratch + values};
    int32_t held[2] = {-1, -1};
    for (size_t y = 0; y < height; y++) {
        imaging_pair pair = y_pairs[y];
        if (held[1] == pair.first) {
            int32_t *row = rows[0];
            rows[0] = rows[1];
            rows[1] = row;
            held[1] = held[0];
            held[0] = pair.first;
        }
        const int32_t wanted[2] = {pair.first, pair.second};
        for (size_t side = 0; side < 2; side++) {
            if (held[side] == wanted[side])
                continue;
            blend_row(rows[side], rgb + 3 * source_width * (size_t)wanted[side], x_pairs, width);
            held[side] = wanted[side];
        }
        // OpenCV's order of shifts: its vector code multiplies 16-bit halves.
        for (size_t i = 0; i < values; i++) {
            int32_t first = (pair.first_weight * (rows[0][i] >> 4)) >> 16;
            int32_t second = (pair.second_weight * (rows[1][i] >> 4)) >> 16;
            int32_t value = (first + second + 2) >> 2;
            out[y * values + i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}
