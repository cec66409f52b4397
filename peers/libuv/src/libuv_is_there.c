/* Compiles where libuv's headers are installed; build.rs tries it. */
#include <uv.h>
