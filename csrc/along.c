/* along.c - a block of rows up and down the network, with a direction v in the space of the parameters along which
 * everything changes.
 *
 * Called by curve.c, for rows that threads share; calls edge.c, gemm.c, join.c and the kernel table. A dot marks how a
 * number changes along v (the R-operator; Pearlmutter, Neural Computation 6, 1994):
 *     Z. = A. W + A V + v_b        A. = g' * Z.
 *     delta. = E. * g' + E * g'' * Z.,   E. = delta. W^T + delta V^T,   E = delta W^T
 * and without the terms of delta, and of g'', that of the Gauss-Newton matrix.
 */
#include "curve.h"

#include <string.h>

/* ---- up ---- */

/* Z. of layer l into t's A */
static void turn_up(const cbp_chunk *b, int l, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const cbp_stage *s = &net->stage[l];
    const int64_t n = s->n_out;
    const void *v = cbp_at(net, b->v, s->theta), *theta = cbp_at(net, b->mem->theta, s->theta);
    const cbp_strided a = {cbp_at(net, cbp_inputs(net, &b->f, b->data.x, l), first * s->n_in), s->n_in, 1};
    const cbp_strided by_v = {cbp_at(net, v, n), n, 1}, by_w = {cbp_at(net, theta, n), n, 1};
    void *const z = cbp_at(net, cbp_frame_a(net, &b->t, l), first * n);
    net->k->product(m, n, s->n_in, a, by_v, v, z, n, 0, room, NULL, NULL);
    if (s->sources[s->n_sources - 1] == 0) return;
    if (s->n_sources > 1) cbp_join(net, &b->t, b->still, l, first, m, NULL);
    const cbp_strided moving = {cbp_at(net, cbp_inputs(net, &b->t, b->still, l), first * s->n_in), s->n_in, 1};
    void *const more = cbp_at(net, b->f.scratch, first * net->widest);
    net->k->product(m, n, s->n_in, moving, by_w, NULL, more, n, 0, room, NULL, NULL);
    net->k->add(m, n, more, n, z, n);
}

/* g''(s z) s^2 of rows that hold z */
static void bend_up(const cbp_net *net, const cbp_stage *s, int64_t m, void *z) {
    if (s->steepness != 1) net->k->scale(m, s->n_out, s->steepness, z, s->n_out);
    for (int i = 0; i < s->n_runs; i++) {
        const cbp_run *run = &s->runs[i];
        net->k->curve[run->act](m, run->count, s->n_out, run->arg, cbp_at(net, z, run->first));
    }
    if (s->steepness != 1) net->k->scale(m, s->n_out, s->steepness * s->steepness, z, s->n_out);
}

/* Net inputs of layer l, and its activations if it is not the last */
static void layer_up(const cbp_chunk *b, int l, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const cbp_stage *s = &net->stage[l];
    const int64_t n = s->n_out, at = first * n;
    const void *theta = cbp_at(net, b->mem->theta, s->theta);
    if (s->n_sources > 1) cbp_join(net, &b->f, b->data.x, l, first, m, NULL);
    const cbp_strided a = {cbp_at(net, cbp_inputs(net, &b->f, b->data.x, l), first * s->n_in), s->n_in, 1};
    const cbp_strided w = {cbp_at(net, theta, n), n, 1};
    void *const z = cbp_at(net, cbp_frame_a(net, &b->f, l), at), *const slope =
                                                                     cbp_at(net, cbp_frame_d(net, &b->f, l), at);
    net->k->product(m, n, s->n_in, a, w, theta, z, n, 0, room, NULL, NULL);
    if (cbp_is_along(b->aim)) turn_up(b, l, first, m, room);
    if (l == net->n_layers) return;
    void *const turned = cbp_at(net, cbp_frame_a(net, &b->t, l), at);
    if (b->aim == CBP_FOR_HESSIAN) {
        void *const bent = cbp_at(net, cbp_frame_d(net, &b->t, l), at);
        cbp_copy_rows(net, m, n, z, n, bent, n);
        bend_up(net, s, m, bent);
        net->k->multiply(m, n, turned, n, bent, n);
    }
    cbp_activate(net, s, m, z, slope);
    if (cbp_is_along(b->aim)) net->k->multiply(m, n, slope, n, turned, n);
}

/* ---- the edge ---- */

/* The columns of a top, for rows first .. first + m; matrix i of those that a cbp_edge has */
static void *edge_at(const cbp_chunk *b, const cbp_top *top, int i, int64_t first, int64_t m) {
    const int64_t n = b->net->n_out;
    return cbp_at(b->net, b->edge, (i * b->f.m + first) * n + m * top->first);
}

static cbp_edge edge_of(const cbp_chunk *b, const cbp_top *top, int64_t first, int64_t m) {
    return (cbp_edge){.m = m,
                      .y = b->y ? cbp_at(b->net, b->y, first * b->net->n_targets + m * top->target) : NULL,
                      .a = edge_at(b, top, 0, first, m),
                      .d = edge_at(b, top, 1, first, m),
                      .u = edge_at(b, top, 2, first, m),
                      .w = edge_at(b, top, 3, first, m),
                      .t = edge_at(b, top, 4, first, m),
                      .curving = b->aim == CBP_FOR_HESSIAN ? edge_at(b, top, 5, first, m) : NULL};
}

/* The top's columns of t to the errors of the output layer in a frame, times the samples' weights if wanted */
static void set_error(const cbp_chunk *b, const cbp_top *top, const cbp_edge *e, const cbp_frame *to, int64_t first,
                      int weighted) {
    const cbp_net *net = b->net;
    void *const all = cbp_at(net, cbp_frame_e(net, to, net->n_layers), first * net->n_out + top->first);
    if (weighted && b->data.weight)
        net->k->scale_rows(e->m, top->units, cbp_at(net, b->data.weight, first), e->t, e->t);
    cbp_copy_rows(net, e->m, top->units, e->t, top->units, all, net->n_out);
}

/* Targets of the rows, put together by tops */
static void take_targets(const cbp_chunk *b, const cbp_top *top, const cbp_edge *e, int64_t first) {
    const cbp_net *net = b->net;
    if (b->data.labels)
        net->k->one_hot(e->m, net->n_targets, b->data.labels + first, e->y);
    else
        cbp_copy_rows(net, e->m, top->n_targets, cbp_at(net, b->data.y, first * net->n_targets + top->target),
                      net->n_targets, e->y, top->n_targets);
}

/* Costs and errors of the output layer */
static void edge_up(const cbp_chunk *b, int64_t first, int64_t m) {
    const cbp_net *net = b->net;
    const int for_loss = b->aim != CBP_FOR_OUTPUTS && b->aim != CBP_FOR_INPUTS;
    const void *z = cbp_at(net, cbp_frame_a(net, &b->f, net->n_layers), first * net->n_out);
    const void *turned = cbp_at(net, cbp_frame_a(net, &b->t, net->n_layers), first * net->n_out);
    double *const c = b->f.c + first, *const head_c = b->t.c + first;
    for (int i = 0; i < cbp_n_tops(net); i++) {
        const cbp_top *top = &net->top[i];
        const cbp_edge e = edge_of(b, top, first, m);
        cbp_copy_rows(net, m, top->units, cbp_at(net, z, top->first), net->n_out, e.a, top->units);
        cbp_edge_activate(net, top, &e, for_loss);
        if (!for_loss) continue;
        take_targets(b, top, &e, first);
        cbp_edge_cost(net, top, &e, head_c);
        for (int64_t r = 0; r < m; r++) c[r] = (i ? c[r] : 0) + top->weight * head_c[r];
        cbp_edge_delta(net, top, &e);
        set_error(b, top, &e, &b->f, first, 0);
        if (!cbp_is_along(b->aim)) continue;
        cbp_copy_rows(net, m, top->units, cbp_at(net, turned, top->first), net->n_out, e.t, top->units);
        (b->aim == CBP_FOR_HESSIAN ? cbp_edge_turn : cbp_edge_gauss_newton)(net, top, &e);
        set_error(b, top, &e, &b->t, first, 0);
    }
}

/* ---- down ---- */

/* delta (m, n_l) by the weights of `theta`, to the errors of layer l's sources in a frame; `add` to what is there */
static void send(const cbp_chunk *b, const cbp_frame *to, int l, int64_t first, int64_t m, const void *delta,
                 const void *theta, int add, void *room) {
    const cbp_net *net = b->net;
    cbp_stage s = net->stage[l];
    const int unwanted = s.sources[0] == 0 && !b->e0, skipped = unwanted ? net->n_in : 0;
    s.n_in -= skipped;
    if (s.n_in == 0) return;
    const int direct = s.n_sources - unwanted == 1 && !add && net->stage[l - 1].feeds == l;
    const int64_t offset = s.theta + (int64_t)skipped * s.n_out;
    void *const scratch = cbp_at(net, b->f.scratch, first * net->widest);
    void *const below = l > 1 ? cbp_frame_e(net, to, l - 1) : b->e0;
    void *const e = direct ? cbp_at(net, below, first * s.n_in) : scratch;
    cbp_down(net, &s, m, delta, cbp_at(net, theta, offset), e, NULL, room, NULL);
    if (direct) return;
    for (int i = unwanted, col = 0; i < s.n_sources; i++) {
        const int k = s.sources[i], n = net->stage[k].n_out;
        void *const sum = cbp_at(net, k > 0 ? cbp_frame_e(net, to, k) : b->e0, first * n);
        if (add || net->stage[k].feeds != l)
            net->k->add(m, n, cbp_at(net, e, col), s.n_in, sum, n);
        else
            cbp_copy_rows(net, m, n, cbp_at(net, e, col), s.n_in, sum, n);
        col += n;
    }
}

/* The errors of a frame become deltas, layer by layer */
static void frame_down(const cbp_chunk *b, const cbp_frame *g, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    for (int l = net->n_layers; l >= 1; l--) {
        const int64_t n = net->stage[l].n_out, at = first * n;
        void *const delta = cbp_at(net, cbp_frame_e(net, g, l), at);
        if (l < net->n_layers) net->k->multiply(m, n, cbp_at(net, cbp_frame_d(net, &b->f, l), at), n, delta, n);
        send(b, g, l, first, m, delta, b->mem->theta, 0, room);
    }
}

/* Errors of both frames become delta and delta. */
static void turn_down(const cbp_chunk *b, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const void *theta = b->mem->theta;
    for (int l = net->n_layers; l >= 1; l--) {
        const int64_t n = net->stage[l].n_out, at = first * n;
        void *const delta = cbp_at(net, cbp_frame_e(net, &b->f, l), at);
        void *const turned = cbp_at(net, cbp_frame_e(net, &b->t, l), at);
        if (l < net->n_layers) {
            const void *slope = cbp_at(net, cbp_frame_d(net, &b->f, l), at);
            void *const bent = cbp_at(net, cbp_frame_d(net, &b->t, l), at);
            net->k->multiply(m, n, delta, n, bent, n);
            net->k->multiply(m, n, slope, n, turned, n);
            net->k->add(m, n, bent, n, turned, n);
            net->k->multiply(m, n, slope, n, delta, n);
        }
        send(b, &b->f, l, first, m, delta, theta, 0, room);
        send(b, &b->t, l, first, m, turned, theta, 0, room);
        send(b, &b->t, l, first, m, delta, b->v, 1, room);
    }
}

/* Deltas of a frame times the samples' weights, of which the sums are made */
static void weigh(const cbp_chunk *b, const cbp_frame *g, int64_t first, int64_t m) {
    const cbp_net *net = b->net;
    for (int l = 1; b->data.weight && l <= net->n_layers; l++) {
        const int64_t n = net->stage[l].n_out;
        void *const delta = cbp_at(net, cbp_frame_e(net, g, l), first * n);
        net->k->scale_rows(m, n, cbp_at(net, b->data.weight, first), delta, delta);
    }
}

/* ---- the three together ---- */

void cbp_rows_up(const cbp_chunk *b, int64_t first, int64_t m, void *room) {
    for (int l = 1; l <= b->net->n_layers; l++) layer_up(b, l, first, m, room);
    edge_up(b, first, m);
}

void cbp_rows_down(const cbp_chunk *b, int64_t first, int64_t m, void *room) {
    if (b->aim == CBP_FOR_HESSIAN)
        turn_down(b, first, m, room);
    else if (b->aim == CBP_FOR_GRADIENT || b->aim == CBP_FOR_MATRIX)
        frame_down(b, &b->f, first, m, room);
    else if (b->aim == CBP_FOR_GAUSS_NEWTON)
        frame_down(b, &b->t, first, m, room);
    if (b->aim <= CBP_FOR_HESSIAN || b->aim == CBP_FOR_MATRIX) weigh(b, &b->f, first, m);
    if (cbp_is_along(b->aim)) weigh(b, &b->t, first, m);
}

void cbp_output_down(const cbp_chunk *b, const cbp_top *top, int j, int curved, const cbp_frame *to, int64_t first,
                     int64_t m, void *room) {
    const cbp_net *net = b->net;
    const cbp_edge e = edge_of(b, top, first, m);
    if (b->net->n_heads)
        memset(cbp_at(net, cbp_frame_e(net, to, net->n_layers), first * net->n_out), 0,
               (size_t)(m * net->n_out) * net->real);
    cbp_edge_seed(net, top, &e, j, b->aim != CBP_FOR_MATRIX, curved);
    set_error(b, top, &e, to, first, curved);
    frame_down(b, to, first, m, room);
}
