/* The small measurements on libuv, in pieces that the program calls and times.
 *
 * A timer has memory of its own, as where it is part of what it belongs to, and is closed when it
 * has fired, as libuv asks for before that memory is freed. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <uv.h>

struct timers {
    uv_loop_t loop;
    size_t count;
    /* Of those that have fired: how many, and the sum of their numbers. */
    uint64_t fired;
    uint64_t sum;
    /* Of those that are to be cancelled. */
    uv_timer_t **list;
};

struct timer {
    uv_timer_t timer;
    uint64_t number;
};

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

static void closed(uv_handle_t *handle) { free(handle); }

static void fired(uv_timer_t *timer) {
    struct timers *timers = timer->loop->data;
    timers->fired++;
    timers->sum += ((struct timer *)timer)->number;
    uv_close((uv_handle_t *)timer, closed);
}

/* Starts `count` timers; `list`, of so many places, remembers them. */
struct timers *peer_libuv_timers_start(const uint64_t *delays_ms, size_t count, uv_timer_t **list) {
    struct timers *timers = must(calloc(1, sizeof *timers));
    if (uv_loop_init(&timers->loop)) abort();
    timers->loop.data = timers;
    timers->count = count;
    timers->list = list;
    for (size_t number = 0; number < count; number++) {
        struct timer *timer = must(malloc(sizeof *timer));
        timer->number = number;
        uv_timer_init(&timers->loop, &timer->timer);
        uv_timer_start(&timer->timer, fired, delays_ms[number], 0);
        if (list) list[number] = &timer->timer;
    }
    return timers;
}

/* Until all have fired, or are closed. Gives the sum of the numbers of those that fired. */
uint64_t peer_libuv_timers_run(struct timers *timers) {
    uv_run(&timers->loop, UV_RUN_DEFAULT);
    return timers->sum;
}

void peer_libuv_timers_cancel(struct timers *timers) {
    for (size_t number = 0; number < timers->count; number++)
        uv_close((uv_handle_t *)timers->list[number], closed);
}

void peer_libuv_timers_end(struct timers *timers) {
    if (uv_loop_close(&timers->loop)) abort();
    free(timers);
}

/* A loop that others wake; `answer` says whether that was the last time. */
struct woken {
    uv_loop_t loop;
    uv_async_t async;
    bool (*answer)(void *context);
    void *context;
};

static void woke(uv_async_t *async) {
    struct woken *woken = async->data;
    if (woken->answer(woken->context)) uv_close((uv_handle_t *)async, NULL);
}

struct woken *peer_libuv_woken_start(bool (*answer)(void *context), void *context) {
    struct woken *woken = must(calloc(1, sizeof *woken));
    woken->answer = answer;
    woken->context = context;
    if (uv_loop_init(&woken->loop) || uv_async_init(&woken->loop, &woken->async, woke)) abort();
    woken->async.data = woken;
    return woken;
}

/* From any thread, while the loop runs. */
void peer_libuv_woken_wake(struct woken *woken) { uv_async_send(&woken->async); }

void peer_libuv_woken_run(struct woken *woken) { uv_run(&woken->loop, UV_RUN_DEFAULT); }

/* Once no thread wakes it any more. */
void peer_libuv_woken_end(struct woken *woken) {
    if (uv_loop_close(&woken->loop)) abort();
    free(woken);
}
