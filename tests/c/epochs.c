/* epochs.c BATCHES THREADS - an epoch of so many batches between two calls of getppid: for test_quiet.py, which reads
 * the system calls between them. The epoch before it starts the threads and touches the memory. */
#define _POSIX_C_SOURCE 200112L
#include "cbp.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_IN = 300, N_HIDDEN = 200, N_OUT = 10, BATCH = 16 };

static float *zeros(size_t n) { return calloc(n, sizeof(float)); }

int main(int argc, char **argv) {
    const cbp_dense layer[] = {{.units = N_HIDDEN, .act = CBP_ACT_tanh}, {.units = N_OUT}};
    const cbp_spec spec = {.n_in = N_IN, .n_layers = 2, .layers = layer, .loss = CBP_LOSS_half_squared_error};
    const int n = argc == 3 ? atoi(argv[1]) * BATCH : 0;
    const double rate = 0.1;
    cbp_net *net;
    cbp_pool *pool;
    cbp_report report;
    cbp_opt opt = {.kind = CBP_OPT_adam, .arg = {0.9, 0.999, 1e-8}};
    if (n < 1 || cbp_net_new(&net, &spec) || cbp_pool_new(&pool, atoi(argv[2]))) return 2;
    const size_t params = (size_t)cbp_n_params(net);
    const cbp_mem mem = {.theta = zeros(params),
                         .grad = zeros(params),
                         .slots = zeros(2 * params),
                         .work = malloc(cbp_work_bytes(net, BATCH, CBP_EPOCH)),
                         .pool = pool};
    const cbp_data data = {.n = n, .x = zeros((size_t)n * N_IN), .y = zeros((size_t)n * N_OUT)};
    int64_t *const order = malloc((size_t)n * sizeof *order);
    if (!mem.theta || !mem.grad || !mem.slots || !mem.work || !data.x || !data.y || !order) return 2;
    if (cbp_permutation(0, 0, n, order)) return 2;
    for (int i = 0; i < 2; i++) {
        if (i == 1) getppid();
        if (cbp_epoch(net, &mem, &opt, &data, order, BATCH, &rate, 1, &report)) return 1;
        if (i == 1) getppid();
    }
    puts("done");
    return 0;
}
