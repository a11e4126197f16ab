#include "pool.h"
void cbp_pool_run(cbp_pool *pool, int parts, cbp_task *fn, void *ctx) {(void)pool; for (int p = 0; p < parts; p++) fn(ctx, p); }
int cbp_pool_size(const cbp_pool *pool) { (void)pool; return 1; }
