/* The server on libuv: one loop, one thread.
 *
 *   uv_listen ──▶ connected: uv_accept, uv_read_start
 *   uv_read_start ──▶ lend: a block of the pool ──▶ arrived: answer by uv_try_write
 *                           what the socket does not take: uv_write, and no reading until it is out
 *   the contents of a file: block by block, by uv_fs_read without a callback, which is in place
 *
 * An echo goes out from the very block that it came in. Blocks are taken last in, first out, so
 * that while sockets take what they are given there is one of them, always in the cache.
 *
 * Invariants:
 * I1 A block is in exactly one place: the pool, a read under way (between `lend` and `arrived`), or
 *    a write under way (until `written`).
 * I2 A connection reads only while nothing of it waits to be written.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LINE 64

/* As `ffi.rs` declares them. */
struct answer {
    size_t len;
    bool more;
    bool close;
    bool contents;
};

struct service {
    void *context;
    void *(*open)(void);
    struct answer (*respond)(void *context, void *state, const char *input, size_t input_len,
                             char *out, size_t out_len);
    void (*close)(void *state);
    /* What goes out behind an answer that says so, if there is such a file. */
    uv_file file;
    uint64_t length;
};

struct block {
    uv_write_t write;
    struct block *next;
    /* On a cache line: elsewhere the kernel's copies may run at half their speed. */
    _Alignas(LINE) char bytes[];
};

struct server {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_udp_t socket;
    uv_poll_t signal;
    struct block *pool;
    size_t block_len;
    /* None: every byte back. */
    const struct service *service;
    /* Connections are closed as soon as they are there. */
    bool turns_away;
};

struct connection {
    uv_tcp_t tcp;
    struct server *server;
    void *state;
    /* Bytes of the file that are still to be sent. */
    uint64_t left;
    /* The service was cut short by them. */
    bool more;
    /* Close once all is written. */
    bool ended;
};

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

static struct block *take(struct server *server) {
    struct block *block = server->pool;
    if (block) {
        server->pool = block->next;
        return block;
    }
    size_t len = offsetof(struct block, bytes) + server->block_len;
    len = (len + LINE - 1) / LINE * LINE;
    /* Zeroed, because the service is lent all of it to write to. */
    return memset(must(aligned_alloc(LINE, len)), 0, len);
}

static void give(struct server *server, struct block *block) {
    block->next = server->pool;
    server->pool = block;
}

static struct block *block_of(char *bytes) {
    return (struct block *)(bytes - offsetof(struct block, bytes));
}

static uv_stream_t *stream_of(struct connection *connection) {
    return (uv_stream_t *)&connection->tcp;
}

static void closed(uv_handle_t *handle) {
    struct connection *connection = handle->data;
    const struct service *service = connection->server->service;
    if (service) service->close(connection->state);
    free(connection);
}

static void give_up(struct connection *connection) {
    uv_handle_t *handle = (uv_handle_t *)&connection->tcp;
    if (!uv_is_closing(handle)) uv_close(handle, closed);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct connection *connection = handle->data;
    struct server *server = connection->server;
    *buf = uv_buf_init(take(server)->bytes, server->block_len);
}

static void arrived(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);
static void answer(struct connection *connection, const char *input, size_t len);
static void send_contents(struct connection *connection);

static bool waits(struct connection *connection) {
    return connection->left > 0 || uv_stream_get_write_queue_size(stream_of(connection)) > 0;
}

static bool is_closing(struct connection *connection) {
    return uv_is_closing((uv_handle_t *)&connection->tcp);
}

/* Goes on when all that was written is out. */
static void go_on(struct connection *connection) {
    send_contents(connection);
    if (connection->more && connection->left == 0 && !is_closing(connection))
        answer(connection, "", 0);
    if (is_closing(connection) || waits(connection)) return;
    if (connection->ended || uv_read_start(stream_of(connection), lend, arrived) < 0)
        give_up(connection);
}

static void written(uv_write_t *write, int status) {
    struct connection *connection = write->handle->data;
    struct block *block = (struct block *)((char *)write - offsetof(struct block, write));
    give(connection->server, block);
    if (is_closing(connection)) return;
    if (status < 0)
        give_up(connection);
    else if (uv_stream_get_write_queue_size(stream_of(connection)) == 0)
        go_on(connection);
}

/* Takes the block. */
static void send_block(struct connection *connection, struct block *block, size_t len) {
    uv_stream_t *stream = stream_of(connection);
    uv_buf_t buf = uv_buf_init(block->bytes, len);
    int sent = uv_try_write(stream, &buf, 1);
    if (sent == UV_EAGAIN) sent = 0;
    if (sent >= 0 && (size_t)sent < len) {
        buf = uv_buf_init(block->bytes + sent, len - sent);
        sent = uv_write(&block->write, stream, &buf, 1, written);
        if (sent == 0) {
            uv_read_stop(stream);
            return;
        }
    }
    give(connection->server, block);
    if (sent < 0) give_up(connection);
}

/* Sends the contents until they wait to be written. */
static void send_contents(struct connection *connection) {
    struct server *server = connection->server;
    const struct service *service = server->service;
    uv_stream_t *stream = stream_of(connection);
    while (connection->left > 0 && !is_closing(connection) &&
           uv_stream_get_write_queue_size(stream) == 0) {
        struct block *block = take(server);
        size_t len = connection->left < server->block_len ? connection->left : server->block_len;
        uv_buf_t buf = uv_buf_init(block->bytes, len);
        int64_t offset = service->length - connection->left;
        uv_fs_t read;
        int got = uv_fs_read(&server->loop, &read, service->file, &buf, 1, offset, NULL);
        uv_fs_req_cleanup(&read);
        if (got > 0) {
            connection->left -= got;
            send_block(connection, block, got);
        } else {
            /* It has shrunk, and the head promised more. */
            give(server, block);
            give_up(connection);
        }
    }
}

static void answer(struct connection *connection, const char *input, size_t len) {
    struct server *server = connection->server;
    const struct service *service = server->service;
    do {
        struct block *out = take(server);
        struct answer answer = service->respond(service->context, connection->state, input, len,
                                                out->bytes, server->block_len);
        connection->more = answer.more;
        connection->ended |= answer.close;
        len = 0;
        if (answer.len > 0)
            send_block(connection, out, answer.len);
        else
            give(server, out);
        if (answer.contents) connection->left = service->length;
        send_contents(connection);
    } while (connection->more && connection->left == 0 && !is_closing(connection));
    if (connection->ended && !waits(connection)) give_up(connection);
}

static void arrived(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct connection *connection = stream->data;
    struct block *block = buf->base ? block_of(buf->base) : NULL;
    if (len > 0 && !connection->server->service) {
        send_block(connection, block, len);
        return;
    }
    if (len > 0) answer(connection, block->bytes, len);
    if (block) give(connection->server, block);
    /* Of 0 the next read says more. */
    if (len < 0) give_up(connection);
}

static void connected(uv_stream_t *listener, int status) {
    if (status < 0) return;
    struct server *server = listener->data;
    struct connection *connection = must(calloc(1, sizeof *connection));
    connection->server = server;
    if (server->service) connection->state = server->service->open();
    uv_tcp_init(&server->loop, &connection->tcp);
    connection->tcp.data = connection;
    uv_stream_t *stream = stream_of(connection);
    if (uv_accept(listener, stream) < 0 || server->turns_away ||
        uv_read_start(stream, lend, arrived) < 0)
        give_up(connection);
}

static void lend_for_datagram(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct server *server = handle->data;
    *buf = uv_buf_init(take(server)->bytes, server->block_len);
}

/* What the socket has no room for is lost, as the network may lose it. Several datagrams may come in
 * one block (UV_UDP_RECVMMSG), which is free only after the last. */
static void datagram_arrived(uv_udp_t *socket, ssize_t len, const uv_buf_t *buf,
                             const struct sockaddr *from, unsigned flags) {
    if (len >= 0 && from) {
        uv_buf_t answer = uv_buf_init(buf->base, len);
        uv_udp_try_send(socket, &answer, 1, from);
    }
    if (buf->base && !(flags & UV_UDP_MMSG_CHUNK)) give(socket->data, block_of(buf->base));
}

static void end(uv_handle_t *handle, void *argument) {
    struct server *server = argument;
    if (handle == (uv_handle_t *)&server->listener || handle == (uv_handle_t *)&server->signal ||
        handle == (uv_handle_t *)&server->socket)
        uv_close(handle, NULL);
    else
        give_up(handle->data);
}

static void signalled(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    uv_walk(poll->loop, end, poll->data);
}

static int listen_on(struct server *server, int listener, int backlog) {
    server->listener.data = server;
    int error = uv_tcp_init(&server->loop, &server->listener);
    if (!error) error = uv_tcp_open(&server->listener, listener);
    if (!error) error = uv_listen((uv_stream_t *)&server->listener, backlog, connected);
    return error;
}

static int receive_on(struct server *server, int socket) {
    server->socket.data = server;
    int error = uv_udp_init_ex(&server->loop, &server->socket, AF_UNSPEC | UV_UDP_RECVMMSG);
    if (!error) error = uv_udp_open(&server->socket, socket);
    if (!error) error = uv_udp_recv_start(&server->socket, lend_for_datagram, datagram_arrived);
    return error;
}

static int start(struct server *server, int socket, bool datagrams, int backlog, int signal) {
    server->signal.data = server;
    int error = datagrams ? receive_on(server, socket) : listen_on(server, socket, backlog);
    if (!error) error = uv_poll_init(&server->loop, &server->signal, signal);
    if (!error) error = uv_poll_start(&server->signal, UV_READABLE, signalled);
    return error;
}

/* Serves until `signal` is readable; 0, or a negated errno from before the first connection. The
 * socket, which listens or has datagrams, is closed with the server. */
int peer_libuv_serve(int socket, bool datagrams, bool turns_away, int backlog, int signal,
                     size_t block_len, const struct service *service) {
    struct server server = {
        .block_len = block_len, .service = service, .turns_away = turns_away};
    int error = uv_loop_init(&server.loop);
    if (error) return error;
    error = start(&server, socket, datagrams, backlog, signal);
    if (error) return error;
    uv_run(&server.loop, UV_RUN_DEFAULT);
    error = uv_loop_close(&server.loop);
    assert(!error && "every handle is closed by `end`");
    while (server.pool) free(take(&server));
    return error;
}

const char *peer_libuv_version(void) { return uv_version_string(); }
