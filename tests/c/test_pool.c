/* The thread pool: every part once, on its thread, for many callers, over changes of size and forks. */
#include "os.h"

#include "harness.h"

#include "pool.h"
#include "prim.h"

#include <math.h>

#ifndef _WIN32
#include <sys/resource.h>
#include <sys/wait.h>
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

enum { PARTS = 16 };

static THREAD_LOCAL char this_thread; /* its address tells threads apart */

/* What the parts of one run leave behind. Tasks cannot CHECK: a check that fails leaves its thread. With `meet`, nobody
 * goes on before so many parts have begun, so that as many threads take part. */
typedef struct {
    int times[PARTS];
    const char *thread[PARTS];
    int number[PARTS];
    int nth[PARTS]; /* how many parts its thread had done before */
    cbp_fpmode mode[PARTS];
    int meet;
    cbp_atomic begun;
} trace;

static THREAD_LOCAL int done_before;

static void add_one(cbp_atomic *a) {
    for (int n; n = cbp_load(a), !cbp_change(a, n, n + 1);) cbp_pause();
}

static void note(void *ctx, int part, int thread) {
    trace *const t = ctx;
    t->times[part]++;
    t->thread[part] = &this_thread;
    t->number[part] = thread;
    t->nth[part] = done_before++;
    t->mode[part] = cbp_fp_get();
    add_one(&t->begun);
    while (cbp_load(&t->begun) < t->meet) cbp_yield();
}

/* A run of so many parts on at most so many threads, every part seen once */
static trace traced(cbp_pool *pool, int threads, int parts) {
    trace t = {.meet = 0};
    cbp_pool_run(pool, (cbp_cut){threads, parts}, note, &t);
    for (int p = 0; p < PARTS; p++) CHECKF(t.times[p] == (p < parts), "part %d of %d: %d times", p, parts, t.times[p]);
    for (int p = 0; p < parts; p++) CHECK(t.number[p] < threads && (t.number[p] == 0) == (t.thread[p] == &this_thread));
    return t;
}

/* A part for every thread of the pool */
static trace met(cbp_pool *pool, int threads) {
    trace t = {.meet = threads};
    cbp_pool_run(pool, (cbp_cut){threads, threads}, note, &t);
    for (int p = 0; p < threads; p++) {
        CHECK(t.times[p] == 1 && t.number[p] == p);
        for (int q = 0; q < p; q++) CHECK(t.thread[p] != t.thread[q]);
    }
    return t;
}

static cbp_pool *pool_of(int threads) {
    cbp_pool *pool;
    NOTE("%d threads", threads);
    CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
    CHECK(cbp_pool_threads(pool) == threads && cbp_pool_size(pool) == threads);
    return pool;
}

static void sleep_microseconds(int n) {
    for (const int64_t end = cbp_nanoseconds() + 1000 * (int64_t)n; cbp_nanoseconds() < end;) cbp_yield();
}

static void count(void *ctx, int part, int thread) {
    (void)thread;
    ((int *)ctx)[part]++;
}

CASE(every_part_runs_once) {
    for (int threads = 1; threads <= 6; threads++) {
        cbp_pool *pool = pool_of(threads);
        for (int most = 1; most <= 6; most++)
            for (int parts = 0; parts <= PARTS; parts++) traced(pool, most, parts);
        cbp_pool_free(pool);
    }
}

CASE(as_many_parts_as_a_run_may_have) {
    static int times[CBP_MOST_PARTS];
    cbp_pool *pool = pool_of(3);
    memset(times, 0, sizeof times);
    cbp_pool_run(pool, (cbp_cut){3, CBP_MOST_PARTS}, count, times);
    for (int p = 0; p < CBP_MOST_PARTS; p++) CHECK(times[p] == 1);
    cbp_pool_free(pool);
}

CASE(a_thread_is_dealt_the_same_parts_every_time) {
    for (int threads = 2; threads <= 5; threads++) {
        cbp_pool *pool = pool_of(threads);
        const trace first = met(pool, threads);
        CHECK(first.thread[0] == &this_thread);
        for (int run = 0; run < 200; run++) {
            const trace t = met(pool, threads);
            for (int p = 0; p < threads; p++) CHECK(t.thread[p] == first.thread[p]);
        }
        cbp_pool_free(pool);
    }
}

/* Eight parts, four for each of two threads: the second is held in its first, part 4, until all others are done */
static void hold(void *ctx, int part, int thread) {
    trace *const t = ctx;
    t->number[part] = thread;
    t->nth[part] = done_before++;
    if (part == 4) add_one(&t->begun);
    while (part == 0 && cbp_load(&t->begun) == 0) cbp_yield();
    while (part == 4 && cbp_load(&t->begun) < 8) cbp_yield();
    if (part != 4) add_one(&t->begun);
}

CASE(a_thread_does_its_parts_in_order_then_others_from_the_end) {
    static const int order[] = {0, 1, 2, 3, 7, 6, 5};
    cbp_pool *pool = pool_of(2);
    for (int run = 0; run < 100; run++) {
        trace t = {.meet = 0};
        cbp_pool_run(pool, (cbp_cut){2, 8}, hold, &t);
        CHECK(t.number[4] == 1);
        for (int i = 0; i < 7; i++) CHECK(t.number[order[i]] == 0 && t.nth[order[i]] == t.nth[0] + i);
    }
    cbp_pool_free(pool);
}

CASE(without_a_pool_the_caller_does_all_in_order) {
    const trace t = traced(NULL, 4, PARTS);
    for (int p = 0; p < PARTS; p++) CHECK(t.thread[p] == &this_thread && t.nth[p] == t.nth[0] + p);
    CHECK(cbp_pool_threads(NULL) == 1 && cbp_pool_size(NULL) == 1);
}

/* The caller is often done before a thread that sleeps is awake, and takes the work back; the thread must hear of the
 * next all the same. */
CASE(sleeping_threads_come_back) {
    cbp_pool *pool = pool_of(4);
    for (int run = 0; run < 400; run++) {
        traced(pool, 4, 4);
        if (run % 2) met(pool, 4);
        sleep_microseconds(run % 8 * 50);
    }
    cbp_pool_free(pool);
}

CASE(threads_have_the_default_floating_point_mode) {
#if defined(CBP_X86_64)
    const cbp_fpmode flush = CBP_FP_DEFAULT | 0x8040u, before = cbp_fp_get();
    cbp_pool *pool = pool_of(3);
    cbp_fp_set(flush);
    const trace t = met(pool, 3);
    cbp_fp_set(before);
    CHECK(t.mode[0] == flush && t.mode[1] == CBP_FP_DEFAULT && t.mode[2] == CBP_FP_DEFAULT);
    cbp_pool_free(pool);
#endif
}

/* ---- no threads to be had ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NO_LIMIT
#endif
#endif
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(NO_LIMIT) /* which wants memory of its own */

CBP_THREAD_MAIN(nothing, arg) { return arg; }

/* Whether a thread can be started now */
static int threads_start(void) {
    cbp_thread thread;
    const int started = cbp_thread_start(&thread, nothing, NULL);
    if (started) cbp_thread_join(thread);
    return started;
}

/* Address space for no more than there is already leaves none for a stack. Without effect in emulators,
 * which is why a thread is tried first. Systems that have no threads at all, such as Pyodide, come to the same. */
CASE(without_threads_the_caller_does_all_in_order) {
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    cbp_pool *pool = pool_of(4);
    const struct rlimit none = {0, before.rlim_max};
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    const int possible = threads_start();
    trace t = {.meet = 0};
    if (!possible) cbp_pool_run(pool, (cbp_cut){4, PARTS}, note, &t);
    const int size = cbp_pool_size(pool), threads = cbp_pool_threads(pool);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    if (!possible) {
        for (int p = 0; p < PARTS; p++)
            CHECK(t.times[p] == 1 && t.thread[p] == &this_thread && t.nth[p] == t.nth[0] + p);
        CHECK(size == 1 && threads == 4);
    }
    CHECK(cbp_pool_resize(pool, 4) == CBP_OK);
    met(pool, 4); /* as soon as there are threads again */
    cbp_pool_free(pool);
}

#endif

/* ---- refusals ---- */

CASE(numbers_out_of_range_are_refused) {
    static const int wrong[] = {-1, 0, CBP_MAX_THREADS + 1};
    cbp_pool *pool = pool_of(2);
    for (int i = 0; i < 3; i++) {
        cbp_pool *none = pool;
        CHECK(cbp_pool_new(&none, wrong[i]) == CBP_BAD_THREADS && none == NULL);
        CHECK(cbp_pool_resize(pool, wrong[i]) == CBP_BAD_THREADS && cbp_pool_threads(pool) == 2);
    }
    CHECK(cbp_pool_new(NULL, 2) == CBP_NULL_ARGUMENT && cbp_pool_resize(NULL, 2) == CBP_NULL_ARGUMENT);
    cbp_pool_free(pool);
    cbp_pool_free(NULL);
    cbp_pool_free(pool_of(CBP_MAX_THREADS));
}

/* ---- a pool at work ---- */

typedef struct {
    cbp_pool *pool;
    trace outer, inner;
    int size;
} nested;

static void run_inside(void *ctx, int part, int thread) {
    nested *const n = ctx;
    note(&n->outer, part, thread);
    if (part != 1) return;
    n->size = cbp_pool_size(n->pool);
    cbp_pool_run(n->pool, (cbp_cut){3, PARTS}, note, &n->inner);
}

CASE(a_run_inside_a_run_is_done_by_its_caller) {
    nested n = {.pool = pool_of(3), .outer = {.meet = 3}};
    cbp_pool_run(n.pool, (cbp_cut){3, 3}, run_inside, &n);
    CHECK(n.size == 1 && cbp_pool_size(n.pool) == 3);
    for (int p = 0; p < PARTS; p++)
        CHECK(n.inner.times[p] == 1 && n.inner.thread[p] == n.inner.thread[0] && n.inner.nth[p] == n.inner.nth[0] + p);
    CHECK(n.inner.thread[0] != &this_thread);
    cbp_pool_free(n.pool);
}

enum { CALLERS = 3, RUNS = 2000 };

typedef struct {
    cbp_pool *pool;
    int wrong;
    cbp_atomic begun, stop;
    cbp_thread thread;
} caller;

static caller callers[CALLERS]; /* a failed check leaves them running, on memory that stays */

static void square(void *ctx, int part, int thread) {
    (void)thread;
    ((int *)ctx)[part] = part * part;
}

/* Runs until told to stop, but at least RUNS times */
CBP_THREAD_MAIN(keep_running, arg) {
    caller *const me = arg;
    for (int run = 0; run < RUNS || !cbp_load(&me->stop); run++) {
        int out[PARTS] = {0};
        cbp_pool_run(me->pool, (cbp_cut){6, PARTS}, square, out);
        for (int p = 0; p < PARTS; p++) me->wrong += out[p] != p * p;
        cbp_store(&me->begun, 1);
    }
    return 0;
}

static void start_callers(cbp_pool *pool) {
    for (caller *c = callers; c < callers + CALLERS; c++) {
        c->pool = pool, c->wrong = 0;
        cbp_store(&c->begun, 0), cbp_store(&c->stop, 0);
        CHECK(cbp_thread_start(&c->thread, keep_running, c));
    }
}

static void stop_callers(void) {
    for (caller *c = callers; c < callers + CALLERS; c++) cbp_store(&c->stop, 1);
    for (caller *c = callers; c < callers + CALLERS; c++) {
        cbp_thread_join(c->thread);
        CHECK(c->wrong == 0);
    }
}

CASE(callers_at_once_disturb_nobody) {
    cbp_pool *pool = pool_of(3);
    start_callers(pool);
    for (int run = 0; run < RUNS; run++) traced(pool, 3, PARTS);
    stop_callers();
    cbp_pool_free(pool);
}

CASE(size_changes_while_others_run) {
    cbp_pool *pool = pool_of(1);
    start_callers(pool);
    for (int change = 0; change < 300; change++) {
        const int threads = 1 + (change * 7) % 6;
        CHECK(cbp_pool_resize(pool, threads) == CBP_OK && cbp_pool_threads(pool) == threads);
        traced(pool, 6, PARTS);
    }
    stop_callers();
    CHECK(cbp_pool_resize(pool, 4) == CBP_OK);
    met(pool, 4);
    cbp_pool_free(pool);
}

/* ---- fork ---- */

/* The thread sanitizer does not follow a child that starts threads. */
#if !defined(_WIN32) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_FORK
#endif
#endif
#ifndef NO_FORK

/* In the child: the pool works, with new threads, also after a change of size; nothing of harness.h, nothing printed */
static int child_is_well(cbp_pool *pool) {
    trace t = {.meet = 0};
    alarm(20);
    for (int threads = 3; threads >= 2; threads--) {
        t.meet = threads;
        cbp_store(&t.begun, 0);
        cbp_pool_run(pool, (cbp_cut){threads, threads}, note, &t);
        for (int p = 1; p < threads; p++)
            if (t.thread[p] == t.thread[0]) return 0;
        if (cbp_pool_resize(pool, 2) != CBP_OK) return 0;
    }
    cbp_pool_free(pool);
    return t.times[0] == 2 && t.times[1] == 2 && t.times[2] == 1;
}

static void fork_and_see(cbp_pool *pool) {
    int status = -1;
    const pid_t child = fork();
    if (child == 0) _exit(child_is_well(pool) ? 0 : 1);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x", (unsigned)status);
}

CASE(children_and_parent_keep_their_pools) {
    cbp_pool *pool = pool_of(3);
    for (int i = 0; i < 100; i += one_in(3)) {
        fork_and_see(pool);
        met(pool, 3);
    }
    cbp_pool_free(pool);
}

CASE(forks_in_the_middle_of_others_runs) {
    cbp_pool *pool = pool_of(3);
    met(pool, 3); /* its workers are there before the first fork, */
    start_callers(pool);
    for (caller *c = callers; c < callers + CALLERS; c++) /* and so are the callers: a thread that starts takes locks */
        while (!cbp_load(&c->begun)) cbp_yield();         /* of the address sanitizer, which no child gets back */
    for (int i = 0; i < 100; i += one_in(3)) fork_and_see(pool);
    stop_callers();
    cbp_pool_free(pool);
}

#endif
#endif
