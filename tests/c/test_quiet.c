/* Inside an epoch nothing is allocated, no thread is started and, in one thread, nothing is locked.
 *
 * This program has functions of its own in front of the C library's: they count and pass on. That needs glibc, and no
 * sanitizer, which does the same.
 */
#include "os.h"

#include "naive.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
#include <dlfcn.h>
#include <errno.h>

typedef struct {
    int allocations, locks, threads;
} counts;

static struct {
    cbp_atomic allocations, locks, threads;
} seen;
static cbp_atomic refuse_threads;

static void add_one(cbp_atomic *n) {
    int before;
    do before = cbp_load(n);
    while (!cbp_change(n, before, before + 1));
}

static counts so_far(void) {
    return (counts){cbp_load(&seen.allocations), cbp_load(&seen.locks), cbp_load(&seen.threads)};
}

static counts since(counts before) {
    const counts now = so_far();
    return (counts){now.allocations - before.allocations, now.locks - before.locks, now.threads - before.threads};
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void *malloc(size_t n) { return add_one(&seen.allocations), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return add_one(&seen.allocations), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return add_one(&seen.allocations), __libc_realloc(p, n); }
void *aligned_alloc(size_t align, size_t n) { return add_one(&seen.allocations), __libc_memalign(align, n); }
void free(void *p) { add_one(&seen.allocations), __libc_free(p); }

/* The next function of this name, as dlsym gives it: a pointer to data that is a function */
#define NEXT(next, name) \
    do { \
        void *const found = dlsym(RTLD_NEXT, name); \
        memcpy(&next, &found, sizeof next); \
    } while (0)

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    int (*next)(pthread_mutex_t *);
    NEXT(next, "pthread_mutex_lock");
    add_one(&seen.locks);
    return next(mutex);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    NEXT(next, "pthread_create");
    add_one(&seen.threads);
    return cbp_load(&refuse_threads) ? EAGAIN : next(thread, attr, run, arg);
}

#include "net.h"
#include "pool.h"

enum { N_IN = 150, N_HIDDEN = 160, N_OUT = 10, ROWS = 160, BATCH = 64 }; /* large enough to be shared */

typedef struct {
    cbp_net *net;
    cbp_mem mem;
    cbp_data data;
    cbp_opt opt;
    int64_t order[ROWS];
} training;

static training start(cbp_dtype dtype, cbp_pool *pool) {
    const cbp_dense layer[] = {{.units = N_HIDDEN, .act = CBP_ACT_tanh}, {.units = N_OUT, .act = CBP_ACT_softmax}};
    const cbp_spec spec = {
        .dtype = dtype, .n_in = N_IN, .n_layers = 2, .layers = layer, .loss = CBP_LOSS_categorical_cross_entropy};
    training t = {.opt = {.kind = CBP_OPT_adam, .arg = {0.9, 0.999, 1e-8}}};
    CHECK(cbp_net_new(&t.net, &spec) == CBP_OK);
    const int64_t n = cbp_n_params(t.net);
    t.mem = (cbp_mem){.theta = random_reals(dtype, n, -0.1, 0.1),
                      .grad = zeros(dtype, n),
                      .slots = zeros(dtype, 2 * n),
                      .work = block(cbp_work_bytes(t.net, BATCH, CBP_EPOCH)),
                      .pool = pool};
    t.data = (cbp_data){.n = many_or(ROWS, BATCH),
                        .x = random_reals(dtype, (int64_t)ROWS * N_IN, -1, 1),
                        .y = random_reals(dtype, (int64_t)ROWS * N_OUT, 0, 1)};
    CHECK(cbp_permutation(1, 0, t.data.n, t.order) == CBP_OK);
    return t;
}

static void epoch(training *t) {
    const double rate = 0.01;
    cbp_report report;
    CHECK(cbp_epoch(t->net, &t->mem, &t->opt, &t->data, t->order, BATCH, &rate, 1, &report) == CBP_OK);
}

/* What the second epoch does; the first may start threads */
static counts second_epoch(cbp_dtype dtype, cbp_pool *pool) {
    training t = start(dtype, pool);
    epoch(&t);
    const counts before = so_far();
    epoch(&t);
    const counts found = since(before);
    cbp_net_free(t.net);
    return found;
}

CASE(the_counters_count) {
    const counts before = so_far();
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 1) == CBP_OK);
    cbp_pool_free(pool);
    CHECK(since(before).allocations == 2);
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    CHECK(since(before).locks == 1);
}

CASE(an_epoch_in_one_thread_neither_allocates_nor_locks) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 1) == CBP_OK);
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++)
        for (int i = dtype % one_in(2); i < 2; i += one_in(2)) {
            const counts found = second_epoch((cbp_dtype)dtype, i ? pool : NULL);
            CHECKF(found.allocations == 0, "%d allocations", found.allocations);
            CHECKF(found.locks == 0, "%d locks", found.locks);
            CHECKF(found.threads == 0, "%d threads", found.threads);
        }
    cbp_pool_free(pool);
}

CASE(an_epoch_in_many_threads_allocates_nothing_and_starts_no_thread) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 4) == CBP_OK);
    CHECK(cbp_cut_for(pool, 2.0 * BATCH * N_IN * N_HIDDEN).threads > 1);
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
        const counts found = second_epoch((cbp_dtype)dtype, pool);
        CHECKF(found.allocations == 0, "%d allocations", found.allocations);
        CHECKF(found.threads == 0, "%d threads", found.threads);
    }
    cbp_pool_free(pool);
}

static void mark(void *ctx, int part, int thread) {
    (void)thread;
    ((int *)ctx)[part] = 1;
}

CASE(a_pool_makes_do_with_the_threads_it_gets) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 4) == CBP_OK);
    int done[6] = {0};
    cbp_pool_run(pool, (cbp_cut){2, 2}, mark, done);
    cbp_store(&refuse_threads, 1);
    const counts before = so_far();
    for (int run = 0; run < 3; run++) {
        memset(done, 0, sizeof done);
        cbp_pool_run(pool, (cbp_cut){4, 6}, mark, done);
        for (int part = 0; part < 6; part++) CHECK(done[part] == 1);
    }
    cbp_store(&refuse_threads, 0);
    CHECK(since(before).threads == 1); /* asked once, not in every run */
    CHECK(cbp_pool_size(pool) == 2 && cbp_pool_threads(pool) == 4);
    CHECK(cbp_pool_resize(pool, 4) == CBP_OK && cbp_pool_size(pool) == 4);
    cbp_pool_run(pool, (cbp_cut){4, 6}, mark, done);
    CHECK(since(before).threads == 3);
    cbp_pool_free(pool);
}
#endif
