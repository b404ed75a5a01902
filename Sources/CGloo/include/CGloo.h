// A C face over Gloo's TCP transport: a full mesh of connections, and messages over it.
//
// Every function catches what the library throws. Outputs come first, then inputs, then sizes.
// A function that may fail returns a `gloo_status` and, for GLOO_FAILED, writes the reason, cut to
// `capacity` and NUL-terminated, to `message`.
#ifndef CGLOO_H
#define CGLOO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gloo_status {
    GLOO_DONE = 0,
    GLOO_FAILED = 1,
    // The mesh was aborted.
    GLOO_ABORTED = 2,
} gloo_status;

// One process's connections to all others of its group, and the thread that serves them.
typedef struct gloo_mesh gloo_mesh;

// Memory that messages are sent from and received in.
typedef struct gloo_buffer gloo_buffer;

// Where one connection is awaited.
typedef struct gloo_endpoint {
    // 4 or 6: IPv4, of which the address has 4 bytes, or IPv6.
    uint8_t family;
    uint8_t address[16];
    uint16_t port;
} gloo_endpoint;

// Begins to listen at `address`, numeric and of this machine, once for each other rank. Sets
// `*mesh`, which the caller closes, or null. A process that has not chosen what SIGPIPE does
// ignores it from then on: the library writes to sockets whose peer may be gone.
gloo_status gloo_open(gloo_mesh **mesh, char *message, const char *address, int rank, int size,
                      size_t capacity);

// Sets `*endpoint` to where the mesh awaits a peer's connection.
gloo_status gloo_listening(gloo_endpoint *endpoint, char *message, const gloo_mesh *mesh, int peer,
                           size_t capacity);

// Connects to one peer, which awaits this rank at `endpoint`; returns when the connection stands,
// failed, or the mesh was aborted. Connections to several peers may be made at once.
gloo_status gloo_connect(char *message, gloo_mesh *mesh, int peer, gloo_endpoint endpoint,
                         size_t capacity);

// Closes all connections: every call that waits returns, and so does every later one. From any
// thread, as often as one likes.
void gloo_abort(gloo_mesh *mesh);

// Aborts the mesh, and frees it when its last buffer is freed; null is allowed.
void gloo_close(gloo_mesh *mesh);

// Makes a buffer over memory (length) that outlives it. Sets `*buffer`, which the caller frees, or
// null.
gloo_status gloo_buffer_make(gloo_buffer **buffer, char *message, gloo_mesh *mesh, void *memory,
                             size_t length, size_t capacity);

// Frees a buffer; null is allowed. When it returns nobody reads from its memory or writes to it,
// even if messages were under way.
void gloo_buffer_free(gloo_buffer *buffer);

// Begins to send part of the buffer. It goes out when the peer has posted a receive of at least
// its length in the same slot; messages of a slot arrive in the order of their posting.
gloo_status gloo_send(char *message, gloo_buffer *buffer, int peer, uint64_t slot, size_t offset,
                      size_t length, size_t capacity);

// Begins to receive into part of the buffer.
gloo_status gloo_receive(char *message, gloo_buffer *buffer, int peer, uint64_t slot, size_t offset,
                         size_t length, size_t capacity);

// Waits until one more send of the buffer is over. Only one thread waits so at a time. A
// connection that breaks in the middle of a message does not end the wait: an abort does. One that
// breaks otherwise ends it, even if the message had come before.
gloo_status gloo_wait_sent(char *message, gloo_buffer *buffer, size_t capacity);

// Waits until one more receive of the buffer is over, else as `gloo_wait_sent`.
gloo_status gloo_wait_received(char *message, gloo_buffer *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
