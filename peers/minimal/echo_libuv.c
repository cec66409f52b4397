/* Echo on libuv. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static void closed(uv_handle_t *handle) { free(handle); }

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    *buf = uv_buf_init(malloc(suggested), suggested);
}

static void written(uv_write_t *write, int status) {
    if (status < 0 && !uv_is_closing((uv_handle_t *)write->handle))
        uv_close((uv_handle_t *)write->handle, closed);
    free(write->data);
    free(write);
}

static void arrived(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    if (len > 0) {
        uv_write_t *write = malloc(sizeof *write);
        uv_buf_t answer = uv_buf_init(buf->base, len);
        write->data = buf->base;
        uv_write(write, stream, &answer, 1, written);
        return;
    }
    if (len < 0) uv_close((uv_handle_t *)stream, closed);
    free(buf->base);
}

static void connected(uv_stream_t *listener, int status) {
    if (status < 0) return;
    uv_tcp_t *stream = malloc(sizeof *stream);
    uv_tcp_init(listener->loop, stream);
    if (uv_accept(listener, (uv_stream_t *)stream) == 0)
        uv_read_start((uv_stream_t *)stream, lend, arrived);
    else
        uv_close((uv_handle_t *)stream, closed);
}

int main(void) {
    uv_tcp_t listener;
    struct sockaddr_in addr;
    int len = sizeof addr;
    uv_tcp_init(uv_default_loop(), &listener);
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0);
    if (uv_listen((uv_stream_t *)&listener, 128, connected) < 0) return 1;
    uv_tcp_getsockname(&listener, (struct sockaddr *)&addr, &len);
    printf("listening 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
