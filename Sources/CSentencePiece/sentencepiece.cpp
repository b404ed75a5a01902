#include "CSentencePiece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

struct sentencepiece_model {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

void write_message(char *message, const char *reason, size_t capacity) {
    if (capacity == 0) {
        return;
    }
    const size_t count = std::min(std::strlen(reason), capacity - 1);
    std::memcpy(message, reason, count);
    message[count] = 0;
}

bool has_piece(const sentencepiece_model *model, int32_t id) {
    return id >= 0 && id < model->processor.GetPieceSize();
}

} // namespace

extern "C" int sentencepiece_load(sentencepiece_model **model, char *message, const char *path,
                                  size_t message_capacity) {
    *model = nullptr;
    try {
        auto loaded = std::make_unique<sentencepiece_model>();
        const auto status = loaded->processor.Load(path);
        if (!status.ok()) {
            write_message(message, status.error_message(), message_capacity);
            return static_cast<int>(status.code());
        }
        *model = loaded.release();
        return 0;
    } catch (const std::exception &error) {
        write_message(message, error.what(), message_capacity);
    } catch (...) {
        write_message(message, "an unknown exception", message_capacity);
    }
    return -1;
}

extern "C" void sentencepiece_free(sentencepiece_model *model) { delete model; }

extern "C" int32_t sentencepiece_size(const sentencepiece_model *model) {
    return model->processor.GetPieceSize();
}

extern "C" int32_t sentencepiece_unknown_id(const sentencepiece_model *model) {
    return model->processor.unk_id();
}

extern "C" const char *sentencepiece_piece(size_t *length, const sentencepiece_model *model,
                                           int32_t id) {
    *length = 0;
    if (!has_piece(model, id)) {
        return nullptr;
    }
    const std::string &piece = model->processor.IdToPiece(id);
    *length = piece.size();
    return piece.data();
}

extern "C" float sentencepiece_score(const sentencepiece_model *model, int32_t id) {
    return has_piece(model, id) ? model->processor.GetScore(id) : 0;
}

extern "C" int32_t sentencepiece_piece_id(const sentencepiece_model *model, const char *piece,
                                          size_t length) {
    return model->processor.PieceToId({piece, length});
}

extern "C" int sentencepiece_encode(int32_t *ids, size_t *count, const sentencepiece_model *model,
                                    const char *text, size_t length, size_t capacity) {
    *count = 0;
    try {
        std::vector<int> encoded;
        const auto status = model->processor.Encode({text, length}, &encoded);
        if (!status.ok()) {
            return static_cast<int>(status.code());
        }
        *count = encoded.size();
        std::copy_n(encoded.begin(), std::min(capacity, encoded.size()), ids);
        return 0;
    } catch (...) {
        return -1;
    }
}
