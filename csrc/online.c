/* online.c - small networks, one row at a time: lays out the kernel's own copy of the parameters, and brings it back.
 *
 * Called by train.c for epochs of single rows, by plan.c for the size; calls the kernel's whole-network routine.
 */
#include "net.h"

#include <string.h>

enum {
    MOST_BYTES = 1 << 20, /* of the copy: what stays in a second-level cache */
    FEWEST_ROWS = 4,      /* fewer do not pay for the copies */
};

/* Reals of a row of n, padded to CBP_ALIGN bytes, a multiple of every vector */
static int64_t padded(const cbp_net *net, int64_t n) {
    const int64_t step = CBP_ALIGN / (int64_t)net->real;
    return (n + step - 1) / step * step;
}

/* Reals of layer l's copy: theta, W transposed, and three rows */
static int64_t layer_reals(const cbp_net *net, int l) {
    const cbp_stage *s = &net->stage[l];
    const int64_t turned = l > 1 ? s->n_out * padded(net, s->n_in) : 0;
    return (s->n_in + (int64_t)4) * padded(net, s->n_out) + turned;
}

static size_t layers_bytes(const cbp_net *net) {
    return ((size_t)net->n_layers + 1) * sizeof(cbp_small_layer) / CBP_ALIGN * CBP_ALIGN + 2 * CBP_ALIGN;
}

size_t cbp_online_bytes(const cbp_net *net) {
    const int64_t most = MOST_BYTES / (int64_t)net->real;
    int64_t reals = padded(net, net->n_out) + padded(net, net->widest);
    for (int l = 1; l <= net->n_layers && reals <= most; l++) reals += layer_reals(net, l);
    return reals > most ? 0 : layers_bytes(net) + (size_t)reals * net->real;
}

/* The next n reals of the copy */
static void *take(const cbp_net *net, char **here, int64_t n) {
    void *const block = *here;
    *here += (size_t)n * net->real;
    return block;
}

static cbp_small lay_out(const cbp_net *net, char *work) {
    char *here = work + (CBP_ALIGN - (uintptr_t)work % CBP_ALIGN) % CBP_ALIGN;
    cbp_small small = {net->n_layers,     (cbp_small_layer *)here, net->loss, net->loss_arg,
                       net->loss_is_head, net->reduction,          NULL,      NULL};
    here += layers_bytes(net) - CBP_ALIGN;
    memset(here, 0, net->online_bytes - layers_bytes(net));
    small.y = take(net, &here, padded(net, net->n_out));
    small.e = take(net, &here, padded(net, net->widest));
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t row = padded(net, s->n_out), turned = l > 1 ? padded(net, s->n_in) : 0;
        cbp_small_layer *const to = &small.layer[l];
        *to = (cbp_small_layer){.n_in = s->n_in,
                                .n_out = s->n_out,
                                .n_runs = s->n_runs,
                                .row_wise = s->row_wise,
                                .runs = s->runs,
                                .w_row = row,
                                .turned_row = turned};
        to->w = take(net, &here, (s->n_in + 1) * row);
        to->turned = take(net, &here, s->n_out * turned);
        to->a = take(net, &here, row);
        to->d = take(net, &here, row);
        to->weighted = take(net, &here, row);
    }
    return small;
}

static void copy_in(const cbp_net *net, const cbp_small *small, const void *theta) {
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const cbp_small_layer *to = &small->layer[l];
        const void *from = cbp_at(net, theta, s->theta);
        cbp_copy_rows(net, s->n_in + 1, s->n_out, from, s->n_out, to->w, to->w_row);
        if (l > 1) net->k->transpose(s->n_in, s->n_out, cbp_at(net, from, s->n_out), to->turned, to->turned_row);
    }
}

static void copy_out(const cbp_net *net, const cbp_small *small, void *theta) {
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const cbp_small_layer *from = &small->layer[l];
        cbp_copy_rows(net, s->n_in + 1, s->n_out, from->w, from->w_row, cbp_at(net, theta, s->theta), s->n_out);
    }
}

int64_t cbp_online(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data, const int64_t *order,
                   int64_t n, const double *learning_rate, int one_rate, cbp_sums *sums) {
    if (!net->single_rows || net->online_bytes == 0) return 0;
    if (opt->kind != CBP_OPT_sgd || n < FEWEST_ROWS || cbp_is_limited(mem, opt)) return 0;
    const cbp_frame f = cbp_frame_at(net, 1, CBP_EPOCH, mem->work);
    const cbp_small small = lay_out(net, (char *)mem->work + f.bytes);
    copy_in(net, &small, mem->theta);
    const int64_t rows = net->k->online(&small, data, order, n, learning_rate, one_rate, &sums->cost, &sums->weight);
    copy_out(net, &small, mem->theta);
    opt->t += rows;
    return rows;
}
