/* The measurements of files on libuv: requests of uv_fs_read, uv_fs_write and uv_fs_fdatasync, which
 * its pool of threads carries out. What is read and written, and whether to go on, the program says.
 *
 * I1  A request's buffer is touched by one thread at a time: by the pool's between uv_fs_read and its
 *     callback, by the loop's, and so by the program, in that callback. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <uv.h>

/* What the program says. The first gives an offset; the second says whether to go on. */
struct storage {
    void *context;
    int64_t (*next)(void *context, uint8_t *block, size_t len);
    bool (*done)(void *context, int64_t offset, const uint8_t *block, ptrdiff_t result);
};

struct request {
    uv_fs_t fs;
    const struct storage *storage;
    uv_buf_t block;
    int64_t offset;
    uv_file file;
};

/* Before anything else of libuv: the pool is made once a process. */
int peer_libuv_threads(const char *count) { return uv_os_setenv("UV_THREADPOOL_SIZE", count); }

static bool done(struct request *request, ptrdiff_t result) {
    const struct storage *storage = request->storage;
    uint8_t *block = (uint8_t *)request->block.base;
    return storage->done(storage->context, request->offset, block, result);
}

static void next(struct request *request) {
    const struct storage *storage = request->storage;
    uint8_t *block = (uint8_t *)request->block.base;
    request->offset = storage->next(storage->context, block, request->block.len);
}

/* What cannot even be asked for is told as what failed. */
static void check(struct request *request, int result) {
    if (result < 0) done(request, result);
}

static void was_read(uv_fs_t *fs);

static void start_read(struct request *request) {
    next(request);
    check(request, uv_fs_read(request->fs.loop, &request->fs, request->file, &request->block, 1,
                              request->offset, was_read));
}

static void was_read(uv_fs_t *fs) {
    struct request *request = (struct request *)fs;
    ptrdiff_t result = fs->result;
    uv_fs_req_cleanup(fs);
    if (done(request, result)) start_read(request);
}

static void was_written(uv_fs_t *fs);

static void start_write(struct request *request) {
    next(request);
    check(request, uv_fs_write(request->fs.loop, &request->fs, request->file, &request->block, 1,
                               request->offset, was_written));
}

static void was_synced(uv_fs_t *fs) {
    struct request *request = (struct request *)fs;
    ptrdiff_t result = fs->result;
    uv_fs_req_cleanup(fs);
    if (done(request, result)) start_write(request);
}

static void was_written(uv_fs_t *fs) {
    struct request *request = (struct request *)fs;
    ptrdiff_t result = fs->result;
    uv_fs_req_cleanup(fs);
    if (result < (ptrdiff_t)request->block.len)
        done(request, result);
    else
        check(request, uv_fs_fdatasync(fs->loop, fs, request->file, was_synced));
}

/* Has `count` reads under way, or writes of which each is synced, with a buffer each in `blocks`,
 * until the program wants no more. */
int peer_libuv_storage(uv_file file, uint32_t count, uint8_t *blocks, size_t len, bool writes,
                       const struct storage *storage) {
    uv_loop_t loop;
    int result = uv_loop_init(&loop);
    if (result < 0) return result;
    struct request *requests = calloc(count, sizeof *requests);
    if (!requests) abort();
    for (uint32_t at = 0; at < count; at++) {
        struct request *request = &requests[at];
        request->fs.loop = &loop;
        request->storage = storage;
        request->block = uv_buf_init((char *)blocks + at * len, (unsigned)len);
        request->file = file;
        if (writes)
            start_write(request);
        else
            start_read(request);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    free(requests);
    return uv_loop_close(&loop);
}
