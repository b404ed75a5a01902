#include "CGloo.h"

#include <gloo/transport/context.h>
#include <gloo/transport/tcp/address.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_set>

namespace tcp = gloo::transport::tcp;

namespace {

// A wait that runs out closes every connection, so that none does.
constexpr auto longest_wait = std::chrono::hours(24 * 365);

// What a mesh and its buffers share; the last of them frees it.
struct mesh_state {
    std::shared_ptr<gloo::transport::Context> context;
    std::atomic<bool> aborted{false};
    std::mutex lock;
    std::unordered_set<gloo::transport::UnboundBuffer *> buffers;

    void abort() {
        if (aborted.exchange(true)) {
            return;
        }
        // Waits first: closing waits for a turn of the library's thread, a connection each.
        {
            const std::lock_guard<std::mutex> guard(lock);
            for (auto *buffer : buffers) {
                buffer->abortWaitRecv();
                buffer->abortWaitSend();
            }
        }
        for (int peer = 0; peer < context->size; peer++) {
            if (auto &pair = context->getPair(peer)) {
                pair->close();
            }
        }
    }
};

// Writes the reason without the library's "[file:line] " before it.
void write_message(char *message, const char *reason, size_t capacity) {
    if (capacity == 0) {
        return;
    }
    if (const char *end = std::strstr(reason, "] "); *reason == '[' && end != nullptr) {
        reason = end + 2;
    }
    const size_t count = std::min(std::strlen(reason), capacity - 1);
    std::memcpy(message, reason, count);
    message[count] = 0;
}

template <typename Body>
gloo_status caught(char *message, size_t capacity, const std::atomic<bool> *aborted, Body body) {
    try {
        if (aborted != nullptr && *aborted) {
            return GLOO_ABORTED;
        }
        return body();
    } catch (const std::exception &error) {
        write_message(message, error.what(), capacity);
    } catch (...) {
        write_message(message, "an unknown exception", capacity);
    }
    return aborted != nullptr && *aborted ? GLOO_ABORTED : GLOO_FAILED;
}

tcp::attr attributes_of(const char *address) {
    tcp::attr attributes;
    attributes.hostname = address;
    attributes.ai_socktype = SOCK_STREAM;
    attributes.ai_protocol = 0;
    attributes.ai_addr = {};
    auto *four = reinterpret_cast<sockaddr_in *>(&attributes.ai_addr);
    auto *six = reinterpret_cast<sockaddr_in6 *>(&attributes.ai_addr);
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        attributes.ai_family = four->sin_family = AF_INET;
        attributes.ai_addrlen = sizeof *four;
    } else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        attributes.ai_family = six->sin6_family = AF_INET6;
        attributes.ai_addrlen = sizeof *six;
    } else {
        throw std::invalid_argument(std::string(address) + " is no IP address");
    }
    return attributes;
}

tcp::Address address_of(const gloo_endpoint &endpoint) {
    sockaddr_storage storage = {};
    if (endpoint.family == 4) {
        auto *four = reinterpret_cast<sockaddr_in *>(&storage);
        four->sin_family = AF_INET;
        four->sin_port = htons(endpoint.port);
        std::memcpy(&four->sin_addr, endpoint.address, sizeof four->sin_addr);
    } else {
        auto *six = reinterpret_cast<sockaddr_in6 *>(&storage);
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(endpoint.port);
        std::memcpy(&six->sin6_addr, endpoint.address, sizeof six->sin6_addr);
    }
    return tcp::Address(storage);
}

} // namespace

struct gloo_mesh {
    std::shared_ptr<mesh_state> state;
};

struct gloo_buffer {
    std::shared_ptr<mesh_state> state;
    std::unique_ptr<gloo::transport::UnboundBuffer> buffer;
};

extern "C" gloo_status gloo_open(gloo_mesh **mesh, char *message, const char *address, int rank,
                                 int size, size_t capacity) {
    *mesh = nullptr;
    return caught(message, capacity, nullptr, [&] {
        struct sigaction action;
        if (sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
            std::signal(SIGPIPE, SIG_IGN);
        }
        auto device = std::make_shared<tcp::Device>(attributes_of(address));
        auto state = std::make_shared<mesh_state>();
        state->context = device->createContext(rank, size);
        state->context->setTimeout(std::chrono::milliseconds::zero());
        for (int peer = 0; peer < size; peer++) {
            if (peer != rank) {
                state->context->createPair(peer);
            }
        }
        *mesh = new gloo_mesh{std::move(state)};
        return GLOO_DONE;
    });
}

extern "C" gloo_status gloo_listening(gloo_endpoint *endpoint, char *message, const gloo_mesh *mesh,
                                      int peer, size_t capacity) {
    *endpoint = {};
    return caught(message, capacity, nullptr, [&] {
        const auto &address = mesh->state->context->getPair(peer)->address();
        const auto &storage = dynamic_cast<const tcp::Address &>(address).getSockaddr();
        if (storage.ss_family == AF_INET) {
            const auto *four = reinterpret_cast<const sockaddr_in *>(&storage);
            endpoint->family = 4;
            endpoint->port = ntohs(four->sin_port);
            std::memcpy(endpoint->address, &four->sin_addr, sizeof four->sin_addr);
        } else {
            const auto *six = reinterpret_cast<const sockaddr_in6 *>(&storage);
            endpoint->family = 6;
            endpoint->port = ntohs(six->sin6_port);
            std::memcpy(endpoint->address, &six->sin6_addr, sizeof six->sin6_addr);
        }
        return GLOO_DONE;
    });
}

extern "C" gloo_status gloo_connect(char *message, gloo_mesh *mesh, int peer,
                                    gloo_endpoint endpoint, size_t capacity) {
    const auto &aborted = mesh->state->aborted;
    return caught(message, capacity, &aborted, [&] {
        mesh->state->context->getPair(peer)->connect(address_of(endpoint).bytes());
        return aborted ? GLOO_ABORTED : GLOO_DONE;
    });
}

extern "C" void gloo_abort(gloo_mesh *mesh) { mesh->state->abort(); }

extern "C" void gloo_close(gloo_mesh *mesh) {
    if (mesh != nullptr) {
        mesh->state->abort();
        delete mesh;
    }
}

extern "C" gloo_status gloo_buffer_make(gloo_buffer **buffer, char *message, gloo_mesh *mesh,
                                        void *memory, size_t length, size_t capacity) {
    *buffer = nullptr;
    auto &state = mesh->state;
    return caught(message, capacity, &state->aborted, [&] {
        auto made = std::make_unique<gloo_buffer>();
        made->state = state;
        made->buffer = state->context->createUnboundBuffer(memory, length);
        const std::lock_guard<std::mutex> guard(state->lock);
        // An abort that came between has not seen this buffer.
        if (state->aborted) {
            return GLOO_ABORTED;
        }
        state->buffers.insert(made->buffer.get());
        *buffer = made.release();
        return GLOO_DONE;
    });
}

extern "C" void gloo_buffer_free(gloo_buffer *buffer) {
    if (buffer != nullptr) {
        {
            const std::lock_guard<std::mutex> guard(buffer->state->lock);
            buffer->state->buffers.erase(buffer->buffer.get());
        }
        delete buffer;
    }
}

extern "C" gloo_status gloo_send(char *message, gloo_buffer *buffer, int peer, uint64_t slot,
                                 size_t offset, size_t length, size_t capacity) {
    return caught(message, capacity, &buffer->state->aborted, [&] {
        buffer->buffer->send(peer, slot, offset, length);
        return GLOO_DONE;
    });
}

extern "C" gloo_status gloo_receive(char *message, gloo_buffer *buffer, int peer, uint64_t slot,
                                    size_t offset, size_t length, size_t capacity) {
    return caught(message, capacity, &buffer->state->aborted, [&] {
        buffer->buffer->recv(peer, slot, offset, length);
        return GLOO_DONE;
    });
}

extern "C" gloo_status gloo_wait_sent(char *message, gloo_buffer *buffer, size_t capacity) {
    return caught(message, capacity, &buffer->state->aborted, [&] {
        return buffer->buffer->waitSend(longest_wait) ? GLOO_DONE : GLOO_ABORTED;
    });
}

extern "C" gloo_status gloo_wait_received(char *message, gloo_buffer *buffer, size_t capacity) {
    return caught(message, capacity, &buffer->state->aborted, [&] {
        return buffer->buffer->waitRecv(longest_wait) ? GLOO_DONE : GLOO_ABORTED;
    });
}
