/* xor.c - learns exclusive or with cbp, in plain C11; docs/reference/c.md says how to build it. */
#include "cbp.h"

#include <stdio.h>
#include <stdlib.h>

static void check(cbp_status status) {
    if (status == CBP_OK) return;
    fprintf(stderr, "xor: %s\n", cbp_message(status));
    exit(EXIT_FAILURE);
}

/* Zeroed memory, or the end of the program */
static void *zeros(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) check(CBP_NO_MEMORY);
    return p;
}

int main(void) {
    enum { ROWS = 4, EPOCHS = 1000 };
    const double x[ROWS][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const double y[ROWS] = {0, 1, 1, 0};

    /* The plan: 2 > 3 tanh > 1 sigmoid. It holds shapes and kernels, no numbers. */
    const cbp_dense layers[] = {{.units = 3, .act = CBP_ACT_tanh}, {.units = 1, .act = CBP_ACT_sigmoid}};
    const cbp_spec spec = {
        .dtype = CBP_FLOAT64, .n_in = 2, .n_layers = 2, .layers = layers, .loss = CBP_LOSS_binary_cross_entropy};
    cbp_net *net;
    check(cbp_net_new(&net, &spec));

    /* The numbers: four arrays of ours. Adam needs two vectors of state. */
    const size_t vector = (size_t)cbp_n_params(net) * sizeof(double);
    const int n_slots = cbp_table(CBP_OPTIMIZERS, NULL)[CBP_OPT_adam].n_slots;
    cbp_mem mem = {
        .theta = zeros(vector),
        .grad = zeros(vector),
        .slots = zeros((size_t)n_slots * vector),
        .work = zeros(cbp_work_bytes(net, ROWS, CBP_EPOCH)),
    };
    const cbp_initializer rule[] = {CBP_INIT_glorot_uniform, CBP_INIT_glorot_uniform};
    check(cbp_init(net, rule, NULL, 1, mem.theta));

    /* An epoch is one call: all four rows as one batch, in their own order, one learning rate. */
    const cbp_data data = {.n = ROWS, .x = x, .y = y};
    cbp_opt adam = {.kind = CBP_OPT_adam, .arg = {0.9, 0.999, 1e-8}};
    const double learning_rate = 0.05;
    cbp_report report;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        check(cbp_epoch(net, &mem, &adam, &data, NULL, ROWS, &learning_rate, 1, &report));
        if (epoch % 250 == 0) printf("epoch %4d  loss %.6f\n", epoch, report.loss);
    }

    /* A workspace of its own would let other threads predict on the same plan and theta. */
    double out[ROWS];
    check(cbp_predict(net, &mem, ROWS, x, out));
    for (int r = 0; r < ROWS; r++) printf("%g xor %g = %.3f\n", x[r][0], x[r][1], out[r]);

    free(mem.theta), free(mem.grad), free(mem.slots), free(mem.work);
    cbp_net_free(net);
    return EXIT_SUCCESS;
}
