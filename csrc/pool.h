/* pool.h - the thread pool from inside: what the driver's files call, and what tests look at. Not installed. */
#ifndef CBP_POOL_H
#define CBP_POOL_H

#include "cbp.h"

/* Part `part` of a job, done by thread `thread` of the run; parts write apart from each other. */
typedef void cbp_task(void *ctx, int part, int thread);

/* How work is shared: at most so many threads, each of which is dealt parts / threads parts */
typedef struct {
    int threads, parts; /* parts <= CBP_MOST_PARTS */
} cbp_cut;

enum { CBP_MOST_PARTS = 4096 };

/* fn(ctx, p, t) for p = 0 .. parts - 1; returns when all are done. Thread t, the caller being thread 0, is dealt the
 * t-th share of consecutive parts, so that it finds their data in the cache of its processor again, and takes over
 * parts of others when it is done with them. The caller alone does all of it, in order, when pool is NULL, threads is
 * 1, or the pool is at work already, for another caller or for this one. */
void cbp_pool_share(cbp_pool *pool, cbp_cut cut, cbp_task *fn, void *ctx);
static inline void cbp_pool_run(cbp_pool *pool, cbp_cut cut, cbp_task *fn, void *ctx) {
    if (cut.parts == 1)
        fn(ctx, 0, 0); /* a small network is not made to wait for the pool's answer */
    else
        cbp_pool_share(pool, cut, fn, ctx);
}

/* Threads that a run would have now: 1 for NULL or a pool at work */
int cbp_pool_size(const cbp_pool *pool);

/* A clock that only goes forward */
double cbp_seconds(void);

/* Processors that the control groups listed in the file `groups` leave, mounted below `mounts`; INT_MAX without limit
 * (processors.c) */
int cbp_quota(const char *groups, const char *mounts);

#endif
