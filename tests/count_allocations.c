/* count_allocations.c - counts what a process asks the allocator for. Put before the C library by LD_PRELOAD; the
 * program under test asks with ctypes for cbp_allocations(). Built and used by test_embed_control.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_long made;

long cbp_allocations(void) { return atomic_load(&made); }

/* The C library's own function of this name */
#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, name); \
    atomic_fetch_add(&made, 1)

void *malloc(size_t size) {
    NEXT(void *, "malloc", size_t);
    return next(size);
}

void *realloc(void *block, size_t size) {
    NEXT(void *, "realloc", void *, size_t);
    return next(block, size);
}

void *aligned_alloc(size_t align, size_t size) {
    NEXT(void *, "aligned_alloc", size_t, size_t);
    return next(align, size);
}

int posix_memalign(void **block, size_t align, size_t size) {
    NEXT(int, "posix_memalign", void **, size_t, size_t);
    return next(block, align, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int file, long offset) {
    NEXT(void *, "mmap", void *, size_t, int, int, int, long);
    return next(at, size, protection, flags, file, offset);
}

/* dlsym itself asks for zeros: they come from here until it has found the function */
void *calloc(size_t n, size_t size) {
    static char first[4096];
    static size_t used;
    static void *(*next)(size_t, size_t);
    static int looking;
    if (!next && !looking) {
        looking = 1;
        *(void **)&next = dlsym(RTLD_NEXT, "calloc");
    }
    if (next) {
        atomic_fetch_add(&made, 1);
        return next(n, size);
    }
    char *block = first + used;
    used += (n * size + 15) / 16 * 16;
    return used <= sizeof first ? block : NULL;
}
