/* pool.c - threads that work on the parts of one job: hand over, take part, join.
 *
 * Called by gemm.c, net.c, train.c and solve.c through cbp_pool_run; calls os.h. The caller of a run is thread 0,
 * worker w of the table is thread w + 1. Work is handed over by a baton per worker and direction: who waits for one
 * spins for a while and then sleeps. Parts are dealt out beforehand, so that a thread meets the same parts every time;
 * who has done its own takes over what others have not begun, from the end. A worker that has not begun at all when
 * everything is done (its processor is busy with something else) loses its baton again, and nobody waits for it.
 *
 * Fork: a child has the memory of its parent but none of its threads, and a run may be under way in one of those. So
 * the pool's lock carries the era, the number of forks that lie behind this process. A lock taken in an earlier era
 * is void, and whoever takes the lock first in a new era knows that the workers are gone.
 */
#include "os.h"

#include "pool.h"
#include "prim.h"

#include <stdlib.h>

/* A sleeping thread comes back after 20 to 60 microseconds. Waiting a little longer than that before one sleeps is
 * never much worse than the better of the two, and bridges what one thread does alone between the products of a step.
 * Where threads of a run may share a processor, the one that waits lets others run now and then. Where each has its own
 * it does not: it would let in other programs, which then keep the processor for milliseconds. */
enum { SPIN_NANOSECONDS = 100000, POLLS_PER_YIELD = 64 };

/* ---- batons: one thread gives, one other takes ---- */

enum { NOT_GIVEN, GIVEN, ASLEEP };

typedef struct {
    cbp_atomic state;
    int slept;       /* the taker, when the baton was given last; known to the giver alone */
    cbp_mutex mutex; /* used when the taker sleeps only */
    cbp_cond woken;
    char apart[128]; /* batons lie on cache lines of their own */
} baton;

static void baton_init(baton *b) {
    cbp_store(&b->state, NOT_GIVEN);
    b->slept = 0;
    cbp_mutex_init(&b->mutex);
    cbp_cond_init(&b->woken);
}

static void baton_free(baton *b) {
    cbp_mutex_free(&b->mutex);
    cbp_cond_free(&b->woken);
}

static void give(baton *b) {
    b->slept = cbp_swap(&b->state, GIVEN) == ASLEEP;
    if (!b->slept) return;
    cbp_mutex_lock(&b->mutex); /* the taker is in cbp_cond_wait, or woken */
    cbp_cond_signal(&b->woken);
    cbp_mutex_unlock(&b->mutex);
}

/* Whether the baton could be had back: its taker has not taken it, and will not */
static int take_back(baton *b) { return cbp_change(&b->state, GIVEN, b->slept ? ASLEEP : NOT_GIVEN); }

/* Takes the baton if it comes while we are looking out for it; `yields`: who gives it may need our processor */
static int spin(baton *b, int yields) {
    for (int64_t end = 0;;) {
        for (int i = 0; i < POLLS_PER_YIELD; i++) {
            if (cbp_load(&b->state) == GIVEN && cbp_change(&b->state, GIVEN, NOT_GIVEN)) return 1;
            cbp_pause();
        }
        const int64_t now = cbp_nanoseconds();
        if (!end) end = now + SPIN_NANOSECONDS;
        if (now >= end) return 0;
        if (yields) cbp_yield();
    }
}

static void take(baton *b, int yields) {
    if (spin(b, yields)) return;
    cbp_mutex_lock(&b->mutex);
    while (!cbp_change(&b->state, GIVEN, NOT_GIVEN))
        if (cbp_change(&b->state, NOT_GIVEN, ASLEEP) || cbp_load(&b->state) == ASLEEP)
            cbp_cond_wait(&b->woken, &b->mutex);
    cbp_mutex_unlock(&b->mutex);
}

/* ---- stocks: the parts that a thread has before it, and others behind it ---- */

typedef cbp_atomic stock; /* first | end << 16 of those that nobody has begun */

static void stock_fill(stock *s, int first, int end) { cbp_store(s, first | (end << 16)); }

/* The first part for its owner, the last for anybody else; -1: none left */
static int next_part(stock *s, int own) {
    for (;;) {
        const int found = cbp_load(s), first = found & 0xFFFF, end = found >> 16;
        if (first == end) return -1;
        if (cbp_change(s, found, own ? found + 1 : found - (1 << 16))) return own ? first : end - 1;
    }
}

/* ---- the pool ---- */

typedef struct {
    stock stock;
    baton start, done;
    cbp_thread thread;
    cbp_pool *pool;
    int number;           /* of its thread, 1 .. */
    cbp_atomic processor; /* that it was on last, or -1: unknown, perhaps that of another thread of the run */
    cbp_places off;       /* where it may not go */
} worker;

struct cbp_pool {
    cbp_atomic threads; /* asked for */
    cbp_atomic size;    /* that a run may use: `threads`, or fewer where the system gave no more */
    cbp_atomic lock;    /* era: free; era + 1: a run is under way, or a change of the workers */
    int started;        /* workers that exist; it and the job belong to who has the lock */
    int processors;     /* that this process may use */
    cbp_atomic shared;  /* whether threads of a run may share one */

    cbp_task *fn; /* the job; NULL: end */
    void *ctx;
    int team;    /* threads of this run */
    stock stock; /* of the caller */

    worker worker[CBP_MAX_THREADS - 1]; /* memory that no worker uses is never touched */
};

static cbp_atomic era; /* two per fork */

static void count_fork(void) { cbp_store(&era, cbp_load(&era) + 2); }

/* Takes the lock unless somebody has it */
static int claim(cbp_pool *pool) {
    const int free_now = cbp_load(&era), taken_now = free_now + 1, found = cbp_load(&pool->lock);
    if (found == taken_now || !cbp_change(&pool->lock, found, taken_now)) return 0;
    if (found != free_now) pool->started = 0;
    return 1;
}

static stock *stock_of(cbp_pool *pool, int thread) { return thread ? &pool->worker[thread - 1].stock : &pool->stock; }

/* One thread's share of the job: its own parts, then what is left of the next threads' */
static void work(cbp_pool *pool, int thread) {
    for (int i = 0; i < pool->team; i++) {
        const int owner = (thread + i) % pool->team;
        for (int part; (part = next_part(stock_of(pool, owner), i == 0)) >= 0;) pool->fn(pool->ctx, part, thread);
    }
}

CBP_THREAD_MAIN(worker_main, arg) {
    worker *const me = arg;
    cbp_pool *const pool = me->pool;
    (void)cbp_fp_enter();
    for (;;) {
        take(&me->start, cbp_load(&pool->shared));
        if (!pool->fn) return 0;
        cbp_store(&me->processor, cbp_processor());
        work(pool, me->number);
        give(&me->done);
    }
}

/* Sees that there are `wanted` workers, or as many as the system allows; returns how many of them there are. */
static int start_workers(cbp_pool *pool, int wanted) {
    if (pool->started >= wanted) return wanted;
    const int size = cbp_load(&pool->size);
    while (pool->started < wanted) {
        worker *const w = &pool->worker[pool->started];
        baton_init(&w->start);
        baton_init(&w->done);
        w->pool = pool;
        w->number = pool->started + 1;
        cbp_store(&w->processor, -1);
        cbp_no_places(&w->off);
        if (!cbp_thread_start(&w->thread, worker_main, w)) {
            cbp_change(&pool->size, size, pool->started + 1);
            break;
        }
        pool->started++;
    }
    return pool->started;
}

/* Moves every worker that was last on the processor of another thread of this run. */
static void spread(cbp_pool *pool, int helpers) {
    const int here = cbp_processor(), shared = here < 0 || helpers >= pool->processors;
    cbp_store(&pool->shared, shared);
    if (shared) return;
    cbp_places taken;
    cbp_no_places(&taken);
    cbp_add_place(&taken, here);
    for (worker *w = pool->worker; w < pool->worker + helpers; w++) {
        const int processor = cbp_load(&w->processor);
        if (processor < 0 || cbp_has_place(&taken, processor))
            cbp_keep_off(w->thread, &taken, &w->off);
        else
            cbp_add_place(&taken, processor);
    }
}

/* Ends all workers but the first `kept` */
static void end_workers(cbp_pool *pool, int kept) {
    pool->fn = NULL;
    while (pool->started > kept) {
        worker *const w = &pool->worker[--pool->started];
        give(&w->start);
        cbp_thread_join(w->thread);
        baton_free(&w->start);
        baton_free(&w->done);
    }
}

/* Gives the lock back; workers that a resize has made superfluous end here, while nobody has a job for them. */
static void release(cbp_pool *pool) {
    end_workers(pool, cbp_load(&pool->size) - 1);
    cbp_store(&pool->lock, cbp_load(&era));
}

void cbp_pool_share(cbp_pool *pool, cbp_cut cut, cbp_task *fn, void *ctx) {
    const int size = pool ? cbp_load(&pool->size) : 1, most = cut.threads < size ? cut.threads : size;
    if (most < 2 || cut.parts < 2 || !claim(pool)) {
        for (int part = 0; part < cut.parts; part++) fn(ctx, part, 0);
        return;
    }
    const int helpers = start_workers(pool, most - 1);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->team = helpers + 1;
    spread(pool, helpers);
    for (int t = 0; t <= helpers; t++)
        stock_fill(stock_of(pool, t), cut.parts * t / pool->team, cut.parts * (t + 1) / pool->team);
    for (int w = 0; w < helpers; w++) give(&pool->worker[w].start);
    work(pool, 0);
    for (worker *w = pool->worker; w < pool->worker + helpers; w++) {
        if (take_back(&w->start))
            cbp_store(&w->processor, -1);
        else
            take(&w->done, cbp_load(&pool->shared));
    }
    release(pool);
}

double cbp_seconds(void) { return 1e-9 * (double)cbp_nanoseconds(); }

int cbp_pool_size(const cbp_pool *pool) {
    return !pool || cbp_load(&pool->lock) == cbp_load(&era) + 1 ? 1 : cbp_load(&pool->size);
}

/* ---- the public part ---- */

cbp_status cbp_pool_new(cbp_pool **pool, int threads) {
    static cbp_atomic counting; /* twice by chance does no harm */
    if (!pool) return CBP_NULL_ARGUMENT;
    *pool = NULL;
    if (threads < 1 || threads > CBP_MAX_THREADS) return CBP_BAD_THREADS;
    if (!cbp_load(&counting) && !cbp_at_fork(count_fork)) return CBP_NO_MEMORY;
    cbp_store(&counting, 1);
    cbp_pool *const made = calloc(1, sizeof *made);
    if (!made) return CBP_NO_MEMORY;
    cbp_store(&made->lock, cbp_load(&era));
    made->processors = cbp_cpus();
    *pool = made;
    return cbp_pool_resize(made, threads);
}

/* A run under way keeps its threads and ends what is too many when it is done. */
cbp_status cbp_pool_resize(cbp_pool *pool, int threads) {
    if (!pool) return CBP_NULL_ARGUMENT;
    if (threads < 1 || threads > CBP_MAX_THREADS) return CBP_BAD_THREADS;
    cbp_store(&pool->threads, threads);
    cbp_store(&pool->size, threads);
    if (claim(pool)) release(pool);
    return CBP_OK;
}

int cbp_pool_threads(const cbp_pool *pool) { return pool ? cbp_load(&pool->threads) : 1; }

void cbp_pool_free(cbp_pool *pool) {
    if (!pool) return;
    while (!claim(pool)) cbp_pause();
    end_workers(pool, 0);
    free(pool);
}
