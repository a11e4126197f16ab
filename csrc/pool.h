/* pool.h - the thread pool from inside: what gemm.c, net.c and train.c call, and what tests look at. Not installed. */
#ifndef CBP_POOL_H
#define CBP_POOL_H

#include "cbp.h"

/* Part `part` of a job; parts write apart from each other. */
typedef void cbp_task(void *ctx, int part);

/* fn(ctx, p) for p = 0 .. parts - 1; returns when all are done. Part p runs on thread p % threads, the caller being
 * thread 0, so that a part finds its data in the cache of the same core again. The caller alone does all of it, in
 * order, when pool is NULL, parts is 1, or the pool is at work already, for another caller or for this one. */
void cbp_pool_run(cbp_pool *pool, int parts, cbp_task *fn, void *ctx);

/* Threads that a run would have now: 1 for NULL or a pool at work */
int cbp_pool_size(const cbp_pool *pool);

/* Processors that the control groups listed in the file `groups` leave, mounted below `mounts`; INT_MAX without limit
 * (processors.c) */
int cbp_quota(const char *groups, const char *mounts);

#endif
