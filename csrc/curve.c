/* curve.c - the objective and its first and second derivatives, for methods that look at all rows at once: gradient,
 * Jacobian of the outputs, Gauss-Newton matrix, products of a vector with that and with the Hessian.
 *
 * Called by the front ends; calls edge.c, gemm.c, join.c, limit.c and the kernel table. Rows are taken some hundred at
 * a time, so that the workspace does not grow with the data; threads share the rows of a block on the way up and down,
 * and then the parameters. With a direction v in the space of the parameters, a dot marks how a number changes along it
 * (the R-operator; Pearlmutter, Neural Computation 6, 1994):
 *     Z. = A. W + A V + v_b        A. = g' * Z.
 *     delta. = E. * g' + E * g'' * Z.,   E. = delta. W^T + delta V^T,   E = delta W^T
 *     (H v)^l = [1 A]^T delta. + [0 A.]^T delta
 * and without the terms of delta, and of g'', it is the Gauss-Newton matrix times v.
 */
#include "net.h"
#include "prim.h"

#include <string.h>

/* What a Jacobian's element is worth, for cbp_cut_for */
#define WRITE_FLOPS 4

typedef enum { GRADIENT, HESSIAN, GAUSS_NEWTON, MATRIX, OUTPUTS, INPUTS } purpose;

/* One block of rows. f holds A, g' in the place of D, and the errors E, which become delta; t the same for the
 * direction: A., g'' * Z., and E., which becomes delta., or the errors of one output after the other. */
typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    purpose purpose;
    cbp_data data;
    void *v, *still; /* the direction; (m, n_0) zeros: how the inputs change */
    cbp_frame f, t;
    char *edge;       /* (m, n_L) of what cbp_edge has, but y, column by column of tops */
    void *y;          /* (m, n_targets) likewise */
    void *e0;         /* INPUTS: (m, n_0) errors of the inputs */
    void *jac, *bent; /* (m * outputs, P), and, where that differs, the Hessian of the loss times it */
    int first_output, n_outputs;
    void *sum; /* (P) gradient, or (P, P) matrix, to which the block adds */
    int of_direction;
    cbp_cut cut;
} block;

static int is_along(purpose p) { return p == HESSIAN || p == GAUSS_NEWTON; }

/* ---- up ---- */

/* Z. of layer l into t's A */
static void turn_up(const block *b, int l, int64_t first, int64_t m, void *room) {
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
static void layer_up(const block *b, int l, int64_t first, int64_t m, void *room) {
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
    if (is_along(b->purpose)) turn_up(b, l, first, m, room);
    if (l == net->n_layers) return;
    void *const turned = cbp_at(net, cbp_frame_a(net, &b->t, l), at);
    if (b->purpose == HESSIAN) {
        void *const bent = cbp_at(net, cbp_frame_d(net, &b->t, l), at);
        cbp_copy_rows(net, m, n, z, n, bent, n);
        bend_up(net, s, m, bent);
        net->k->multiply(m, n, turned, n, bent, n);
    }
    cbp_activate(net, s, m, z, slope);
    if (is_along(b->purpose)) net->k->multiply(m, n, slope, n, turned, n);
}

/* ---- the edge ---- */

/* The columns of a top, for rows first .. first + m; matrix i of those that a cbp_edge has */
static void *edge_at(const block *b, const cbp_top *top, int i, int64_t first, int64_t m) {
    const int64_t n = b->net->n_out;
    return cbp_at(b->net, b->edge, (i * b->f.m + first) * n + m * top->first);
}

static cbp_edge edge_of(const block *b, const cbp_top *top, int64_t first, int64_t m) {
    return (cbp_edge){.m = m,
                      .y = b->y ? cbp_at(b->net, b->y, first * b->net->n_targets + m * top->target) : NULL,
                      .a = edge_at(b, top, 0, first, m),
                      .d = edge_at(b, top, 1, first, m),
                      .u = edge_at(b, top, 2, first, m),
                      .w = edge_at(b, top, 3, first, m),
                      .t = edge_at(b, top, 4, first, m),
                      .curving = b->purpose == HESSIAN ? edge_at(b, top, 5, first, m) : NULL};
}

static int n_tops(const cbp_net *net) { return net->n_heads ? net->n_heads : 1; }

/* The top's columns of t to the errors of the output layer in a frame, times the samples' weights if wanted */
static void set_error(const block *b, const cbp_top *top, const cbp_edge *e, const cbp_frame *to, int64_t first,
                      int weighted) {
    const cbp_net *net = b->net;
    void *const all = cbp_at(net, cbp_frame_e(net, to, net->n_layers), first * net->n_out + top->first);
    if (weighted && b->data.weight)
        net->k->scale_rows(e->m, top->units, cbp_at(net, b->data.weight, first), e->t, e->t);
    cbp_copy_rows(net, e->m, top->units, e->t, top->units, all, net->n_out);
}

/* Targets of the rows, put together by tops */
static void take_targets(const block *b, const cbp_top *top, const cbp_edge *e, int64_t first) {
    const cbp_net *net = b->net;
    if (b->data.labels)
        net->k->one_hot(e->m, net->n_targets, b->data.labels + first, e->y);
    else
        cbp_copy_rows(net, e->m, top->n_targets, cbp_at(net, b->data.y, first * net->n_targets + top->target),
                      net->n_targets, e->y, top->n_targets);
}

/* Costs and errors of the output layer */
static void edge_up(const block *b, int64_t first, int64_t m) {
    const cbp_net *net = b->net;
    const int for_loss = b->purpose != OUTPUTS && b->purpose != INPUTS;
    const void *z = cbp_at(net, cbp_frame_a(net, &b->f, net->n_layers), first * net->n_out);
    const void *turned = cbp_at(net, cbp_frame_a(net, &b->t, net->n_layers), first * net->n_out);
    double *const c = b->f.c + first, *const head_c = b->t.c + first;
    for (int i = 0; i < n_tops(net); i++) {
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
        if (!is_along(b->purpose)) continue;
        cbp_copy_rows(net, m, top->units, cbp_at(net, turned, top->first), net->n_out, e.t, top->units);
        (b->purpose == HESSIAN ? cbp_edge_turn : cbp_edge_gauss_newton)(net, top, &e);
        set_error(b, top, &e, &b->t, first, 0);
    }
}

/* ---- down ---- */

/* delta (m, n_l) by the weights of `theta`, to the errors of layer l's sources in a frame; `add` to what is there */
static void send(const block *b, const cbp_frame *to, int l, int64_t first, int64_t m, const void *delta,
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
static void frame_down(const block *b, const cbp_frame *g, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    for (int l = net->n_layers; l >= 1; l--) {
        const int64_t n = net->stage[l].n_out, at = first * n;
        void *const delta = cbp_at(net, cbp_frame_e(net, g, l), at);
        if (l < net->n_layers) net->k->multiply(m, n, cbp_at(net, cbp_frame_d(net, &b->f, l), at), n, delta, n);
        send(b, g, l, first, m, delta, b->mem->theta, 0, room);
    }
}

/* Errors of both frames become delta and delta. */
static void turn_down(const block *b, int64_t first, int64_t m, void *room) {
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
static void weigh(const block *b, const cbp_frame *g, int64_t first, int64_t m) {
    const cbp_net *net = b->net;
    for (int l = 1; b->data.weight && l <= net->n_layers; l++) {
        const int64_t n = net->stage[l].n_out;
        void *const delta = cbp_at(net, cbp_frame_e(net, g, l), first * n);
        net->k->scale_rows(m, n, cbp_at(net, b->data.weight, first), delta, delta);
    }
}

/* ---- the Jacobian ---- */

/* One row of it, all parameters, from row r of the deltas; 0 for those that are fixed */
static void write_row(const block *b, int64_t r, void *row) {
    const cbp_net *net = b->net;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const at = cbp_at(net, row, s->theta);
        if (cbp_is_frozen(b->mem, l))
            memset(at, 0, ((size_t)s->n_in + 1) * (size_t)s->n_out * net->real);
        else
            net->k->row_gradient(s->n_in, s->n_out, cbp_at(net, cbp_inputs(net, &b->f, b->data.x, l), r * s->n_in),
                                 cbp_at(net, cbp_frame_e(net, &b->t, l), r * s->n_out), at);
    }
    if (b->mem->mask) net->k->hold(net->n_params, b->mem->mask, NULL, row);
}

/* Derivatives of output j of a top into the rows of jac, or, `curved`, of bent */
static void output_down(const block *b, const cbp_top *top, int j, int curved, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const int64_t n = b->n_outputs, column = top->first + j - b->first_output;
    const cbp_edge e = edge_of(b, top, first, m);
    memset(cbp_at(net, cbp_frame_e(net, &b->t, net->n_layers), first * net->n_out), 0,
           (size_t)(m * net->n_out) * net->real);
    cbp_edge_seed(net, top, &e, j, b->purpose != MATRIX, curved);
    set_error(b, top, &e, &b->t, first, curved);
    frame_down(b, &b->t, first, m, room);
    for (int64_t r = first; r < first + m; r++) {
        if (b->purpose == INPUTS)
            cbp_copy_rows(net, 1, net->n_in, cbp_at(net, b->e0, r * net->n_in), 0,
                          cbp_at(net, b->jac, (r * n + column) * net->n_in), 0);
        else
            write_row(b, r, cbp_at(net, curved ? b->bent : b->jac, (r * n + column) * net->n_params));
    }
}

static void outputs_down(const block *b, int64_t first, int64_t m, void *room) {
    for (int i = 0; i < n_tops(b->net); i++) {
        const cbp_top *top = &b->net->top[i];
        for (int j = 0; j < top->units; j++) {
            const int output = top->first + j;
            if (output < b->first_output || output >= b->first_output + b->n_outputs) continue;
            output_down(b, top, j, 0, first, m, room);
            if (b->purpose == MATRIX && b->bent != b->jac) output_down(b, top, j, 1, first, m, room);
        }
    }
}

/* ---- a block: its rows, then sums over them ---- */

static void up_part(void *ctx, int part, int thread) {
    const block *b = ctx;
    void *const room = cbp_room(b->f.rooms, thread);
    int64_t first, m;
    cbp_share(b->f.m, 1, part, b->cut.parts, &first, &m);
    if (m == 0) return;
    for (int l = 1; l <= b->net->n_layers; l++) layer_up(b, l, first, m, room);
    edge_up(b, first, m);
    if (b->purpose == HESSIAN)
        turn_down(b, first, m, room);
    else if (b->purpose == GRADIENT || b->purpose == MATRIX)
        frame_down(b, &b->f, first, m, room);
    else if (b->purpose == GAUSS_NEWTON)
        frame_down(b, &b->t, first, m, room);
    if (b->purpose <= HESSIAN || b->purpose == MATRIX) weigh(b, &b->f, first, m);
    if (is_along(b->purpose)) weigh(b, &b->t, first, m);
}

static void jacobian_part(void *ctx, int part, int thread) {
    const block *b = ctx;
    int64_t first, m;
    cbp_share(b->f.m, 1, part, b->cut.parts, &first, &m);
    if (m > 0) outputs_down(b, first, m, cbp_room(b->f.rooms, thread));
}

typedef struct {
    const cbp_net *net;
    void *at; /* of the sum, where the product's first element belongs */
    int64_t ld;
} place;

static void add_touch(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const place *p = ctx;
    p->net->k->add(rows, cols, c, ldc, cbp_at(p->net, p->at, row * p->ld + col), p->ld);
}

/* sum := sum + a^T delta for rows of theta[l]: `at` its first row there, m samples, inputs a strided */
static void add_product(const block *b, const cbp_stage *s, int64_t row, int64_t rows, cbp_strided a, const void *delta,
                        void *room) {
    const cbp_net *net = b->net;
    place to = {net, cbp_at(net, b->sum, s->theta + row * s->n_out), s->n_out};
    const cbp_strided right = {delta, s->n_out, 1};
    net->k->product(rows, s->n_out, b->f.m, a, right, NULL, to.at, s->n_out, 1, room, add_touch, &to);
}

/* A share of the rows of every theta[l]: [1 A]^T delta, or [1 A]^T delta. + [0 A.]^T delta */
static void sum_part(void *ctx, int part, int thread) {
    const block *b = ctx;
    const cbp_net *net = b->net;
    const float one = 1;
    const double one_d = 1;
    const cbp_strided unit = {net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d, 0, 0};
    void *const room = cbp_room(b->f.rooms, thread);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        int64_t first, rows;
        cbp_share(s->n_in, 12, part, b->cut.parts, &first, &rows);
        const void *delta = cbp_frame_e(net, b->of_direction ? &b->t : &b->f, l);
        const void *a = cbp_inputs(net, &b->f, b->data.x, l), *moving = cbp_inputs(net, &b->t, b->still, l);
        if (cbp_is_frozen(b->mem, l)) continue;
        if (part == 0) add_product(b, s, 0, 1, unit, delta, NULL);
        if (rows <= 0) continue;
        add_product(b, s, first + 1, rows, (cbp_strided){cbp_at(net, a, first), 1, s->n_in}, delta, room);
        if (b->purpose == HESSIAN && b->of_direction && s->sources[s->n_sources - 1] > 0)
            add_product(b, s, first + 1, rows, (cbp_strided){cbp_at(net, moving, first), 1, s->n_in},
                        cbp_frame_e(net, &b->f, l), room);
    }
}

static void run_sum(block *b, void *sum, int of_direction) {
    b->sum = sum;
    b->of_direction = of_direction;
    b->cut = cbp_cut_for(b->mem->pool, 2.0 * (double)b->f.m * (double)b->net->n_params);
    cbp_pool_run(b->mem->pool, b->cut, sum_part, b);
}

/* Rows of the matrix that belong together: the upper triangle goes by strips from the diagonal on */
static int64_t strip_rows(int64_t n) {
    const int64_t eighth = (n / 16 + 11) / 12 * 12;
    return eighth > 48 ? eighth : 48;
}

static void strip_part(void *ctx, int part, int thread) {
    const block *b = ctx;
    const cbp_net *net = b->net;
    const int64_t n = net->n_params, rows = strip_rows(n), first = part * rows;
    const cbp_strided left = {cbp_at(net, b->jac, first), 1, n}, right = {cbp_at(net, b->bent, first), n, 1};
    place to = {net, cbp_at(net, b->sum, first * n + first), n};
    net->k->product(cbp_smaller(rows, n - first), n - first, b->f.m * b->n_outputs, left, right, NULL, to.at, n, 1,
                    cbp_room(b->f.rooms, thread), add_touch, &to);
}

/* The upper triangle of the matrix += jac^T bent */
static void run_strips(block *b, void *matrix) {
    const int64_t n = b->net->n_params, rows = strip_rows(n);
    b->sum = matrix;
    b->cut = cbp_cut_for(b->mem->pool, (double)(b->f.m * b->n_outputs) * (double)n * (double)n);
    b->cut.parts = (int)((n + rows - 1) / rows);
    if (b->cut.parts < b->cut.threads) b->cut.threads = b->cut.parts;
    cbp_pool_run(b->mem->pool, b->cut, strip_part, b);
}

/* ---- the workspace ---- */

/* Rows of a block, and outputs at a time, so that a Jacobian of them has at most as many rows as a chain has terms */
static int64_t rows_of(const cbp_net *net, int64_t n, cbp_mode mode) {
    const int64_t most = mode == CBP_MATRIX ? CBP_CURVE_ROWS / net->n_out : CBP_CURVE_ROWS;
    return cbp_smaller(n, most > 0 ? most : 1);
}

/* The next `bytes` from offset *used of the workspace; NULL without one */
static void *take(char *work, size_t *used, size_t bytes) {
    char *const here = work ? work + *used : NULL;
    *used += (bytes + CBP_ALIGN - 1) / CBP_ALIGN * CBP_ALIGN;
    return here;
}

/* Where everything lies for blocks of m rows; returns the size of it all */
static size_t lay_out(block *b, const cbp_net *net, int64_t m, cbp_mode mode, char *work) {
    const size_t rows = (size_t)m, real = net->real;
    const size_t outputs = (size_t)cbp_smaller(net->n_out, CBP_CURVE_ROWS);
    b->f = cbp_frame_at(net, m, mode, work);
    size_t used = b->f.bytes;
    b->t = cbp_frame_turned(net, m, work ? work + used : NULL);
    used += b->t.bytes;
    b->edge = take(work, &used, 6 * rows * (size_t)net->n_out * real);
    b->y = take(work, &used, rows * (size_t)net->n_targets * real);
    if (net->joined) b->still = take(work, &used, rows * (size_t)net->n_in * real);
    b->e0 = take(work, &used, rows * (size_t)net->n_in * real);
    b->v = take(work, &used, (size_t)net->n_params * real);
    if (mode == CBP_MATRIX) {
        b->jac = take(work, &used, rows * outputs * (size_t)net->n_params * real);
        b->bent = take(work, &used, rows * outputs * (size_t)net->n_params * real);
    }
    return used;
}

size_t cbp_curve_bytes(const cbp_net *net, int64_t n, cbp_mode mode) {
    const double rows = (double)rows_of(net, n, mode), outputs = (double)cbp_smaller(net->n_out, CBP_CURVE_ROWS);
    const double vectors = 1 + (mode == CBP_MATRIX ? 2 * rows * outputs : 0);
    const double each_row = 16.0 * ((double)net->units + net->n_in + net->widest + (double)net->joined) + 256;
    block b = {.net = net};
    if (8 * (rows * each_row + vectors * (double)net->n_params) > (double)(SIZE_MAX / 4)) return 0;
    return lay_out(&b, net, rows_of(net, n, mode), mode, NULL);
}

/* A block for a purpose; `rows` at most in it */
static block new_block(const cbp_net *net, const cbp_mem *mem, purpose p, int64_t rows) {
    block b = {.net = net, .mem = mem, .purpose = p, .n_outputs = net->n_out};
    lay_out(&b, net, rows, p == MATRIX ? CBP_MATRIX : CBP_CURVE, mem->work);
    if (p != INPUTS) b.e0 = NULL;
    if (b.still) memset(b.still, 0, (size_t)rows * (size_t)net->n_in * net->real);
    return b;
}

/* The block with m rows, for which it is laid out anew */
static void take_rows(block *b, const cbp_data *data, int64_t first, int64_t m) {
    b->data = cbp_rows(b->net, data, first, m);
    b->f.m = b->t.m = m;
}

/* ---- the calls ---- */

static void run_up(block *b) {
    const double products = is_along(b->purpose) || b->purpose == MATRIX ? 12.0 : 4.0;
    b->cut = cbp_cut_for(b->mem->pool, products * (double)b->f.m * (double)b->net->n_params);
    if (b->net->own_loss) b->cut = (cbp_cut){1, 1}; /* in the thread that called */
    cbp_pool_run(b->mem->pool, b->cut, up_part, b);
}

static void run_outputs(block *b) {
    const double elements = (double)b->f.m * b->n_outputs * (double)b->net->n_params;
    b->cut = cbp_cut_for(b->mem->pool, WRITE_FLOPS * elements);
    cbp_pool_run(b->mem->pool, b->cut, jacobian_part, b);
}

static void clear_fixed(const cbp_net *net, const cbp_mem *mem, void *x) {
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        if (cbp_is_frozen(mem, l))
            memset(cbp_at(net, x, s->theta), 0, ((size_t)s->n_in + 1) * (size_t)s->n_out * net->real);
    }
    if (mem->mask) net->k->hold(net->n_params, mem->mask, NULL, x);
}

/* The matrix of a block's rows, outputs in groups */
static void add_matrix(block *b, void *matrix) {
    const int all = b->net->n_out;
    for (b->first_output = 0; b->first_output < all; b->first_output += CBP_CURVE_ROWS) {
        b->n_outputs = (int)cbp_smaller(all - b->first_output, CBP_CURVE_ROWS);
        run_outputs(b);
        run_strips(b, matrix);
    }
}

/* sum := the gradient, unless it is NULL, and `result` what the purpose makes, over all rows; adds to *total */
static void run_blocks(block *b, const cbp_data *data, void *gradient, void *result, cbp_sums *total) {
    const cbp_net *net = b->net;
    const size_t size = (size_t)net->n_params * net->real;
    const int64_t rows = b->f.m;
    if (gradient) memset(gradient, 0, size);
    if (result) memset(result, 0, b->purpose == MATRIX ? size * (size_t)net->n_params : size);
    for (int64_t r = 0; r < data->n; r += rows) {
        take_rows(b, data, r, cbp_smaller(rows, data->n - r));
        run_up(b);
        net->k->weighted_sum(b->f.m, b->data.weight, b->f.c, &total->cost, &total->weight);
        if (gradient) run_sum(b, gradient, 0);
        if (is_along(b->purpose)) run_sum(b, result, 1);
        if (b->purpose == MATRIX) add_matrix(b, result);
    }
}

/* What the objective makes of a sum over the samples, and their number for its penalties */
static void factors(const cbp_net *net, cbp_sums sums, double *factor, double *penalty) {
    const int is_sum = net->reduction == CBP_SUM;
    *factor = is_sum ? 1 : sums.weight > 0 ? 1 / sums.weight : 0;
    *penalty = is_sum ? sums.weight : sums.weight > 0;
}

/* A vector of sums becomes that of the objective, penalties of w included, l1 only if `first` */
static void finish_vector(const cbp_net *net, const cbp_mem *mem, cbp_sums sums, const void *w, int first, void *x) {
    double factor, penalty;
    factors(net, sums, &factor, &penalty);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t n = (int64_t)s->n_in * s->n_out;
        void *const bias = cbp_at(net, x, s->theta), *const weights = cbp_at(net, bias, s->n_out);
        if (factor != 1) net->k->scale(1, s->n_out, factor, bias, s->n_out);
        if (s->l1 > 0 || s->l2 > 0)
            net->k->penalize(1, n, factor, first ? s->l1 * penalty : 0, s->l2 * penalty,
                             cbp_at(net, w, s->theta + s->n_out), n, weights, n);
        else if (factor != 1)
            net->k->scale(1, n, factor, weights, n);
    }
    clear_fixed(net, mem, x);
}

/* The lower triangle from the upper, some columns at a time */
static void mirror(const cbp_net *net, void *matrix) {
    enum { STEP = 32 };
    const int64_t n = net->n_params;
    for (int64_t i = 0; i < n; i += STEP)
        for (int64_t j = i; j < n; j += STEP)
            for (int64_t r = j; r < n && r < j + STEP; r++)
                for (int64_t c = i; c < r && c < i + STEP; c++)
                    memcpy(cbp_at(net, matrix, r * n + c), cbp_at(net, matrix, c * n + r), net->real);
}

/* The sums in the upper triangle become the matrix of the objective; l2 stands on its diagonal */
static void finish_matrix(const cbp_net *net, const cbp_mem *mem, cbp_sums sums, void *matrix) {
    double factor, penalty;
    const float one = 1;
    const double one_d = 1;
    const void *unit = net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d;
    const int64_t n = net->n_params;
    factors(net, sums, &factor, &penalty);
    if (factor != 1) net->k->scale(1, n * n, factor, matrix, n * n);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t first = s->theta + s->n_out, count = (int64_t)s->n_in * s->n_out;
        if (s->l2 == 0 || cbp_is_frozen(mem, l)) continue;
        for (int64_t i = first; i < first + count; i++) {
            void *const diagonal = cbp_at(net, matrix, i * n + i);
            net->k->penalize(1, 1, 1, 0, s->l2 * penalty, unit, 1, diagonal, 1);
            if (mem->mask) net->k->hold(1, cbp_at(net, mem->mask, i), NULL, diagonal);
        }
    }
    mirror(net, matrix);
}

static int is_flat(const cbp_net *net) {
    int flat = 1;
    for (int i = 0; i < n_tops(net); i++) flat &= cbp_edge_is_flat(net, &net->top[i]);
    return flat;
}

/* One pass over the data: what it is made for, and the gradient unless that is NULL */
static cbp_sums run_purpose(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, purpose p, const void *v,
                            void *gradient, void *result) {
    const cbp_mode mode = p == MATRIX ? CBP_MATRIX : CBP_CURVE;
    block b = new_block(net, mem, p, rows_of(net, data->n, mode));
    cbp_sums sums = {0, 0};
    if (is_along(p)) {
        memcpy(b.v, v, (size_t)net->n_params * net->real);
        clear_fixed(net, mem, b.v);
    }
    if (p == MATRIX && !data->weight && is_flat(net)) b.bent = b.jac;
    run_blocks(&b, data, gradient, result, &sums);
    if (gradient) finish_vector(net, mem, sums, mem->theta, 1, gradient);
    if (is_along(p)) finish_vector(net, mem, sums, b.v, 0, result);
    if (p == MATRIX) finish_matrix(net, mem, sums, result);
    return sums;
}

cbp_status cbp_curve(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, const cbp_curvature *wanted,
                     double *loss) {
    if (!net || !mem || !mem->theta || !mem->work || !data || !wanted || !loss) return CBP_NULL_ARGUMENT;
    if (!wanted->v && (wanted->hessian_v || wanted->gauss_newton_v)) return CBP_NULL_ARGUMENT;
    if (net->own_loss && (wanted->matrix || wanted->hessian_v || wanted->gauss_newton_v)) return CBP_NO_CURVATURE;
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    void *gradient = wanted->gradient;
    cbp_sums sums = {0, 0};
    if (wanted->matrix) sums = run_purpose(net, mem, data, MATRIX, NULL, gradient, wanted->matrix), gradient = NULL;
    if (wanted->hessian_v)
        sums = run_purpose(net, mem, data, HESSIAN, wanted->v, gradient, wanted->hessian_v), gradient = NULL;
    if (wanted->gauss_newton_v)
        sums = run_purpose(net, mem, data, GAUSS_NEWTON, wanted->v, NULL, wanted->gauss_newton_v);
    if (gradient || !(wanted->matrix || wanted->hessian_v || wanted->gauss_newton_v))
        sums = run_purpose(net, mem, data, GRADIENT, NULL, gradient, NULL);
    if (net->is_penalized) sums.cost += sums.weight * cbp_penalty(net, mem->theta);
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

cbp_status cbp_jacobian(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, cbp_variable by, void *jac) {
    if (!net || !mem || !mem->theta || !mem->work || (n > 0 && (!x || !jac))) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_data data = {.n = n, .x = x};
    const int64_t rows = rows_of(net, n, CBP_CURVE), columns = by == CBP_BY_INPUTS ? net->n_in : net->n_params;
    if (n > 0) {
        block b = new_block(net, mem, by == CBP_BY_INPUTS ? INPUTS : OUTPUTS, rows);
        for (int64_t r = 0; r < n; r += rows) {
            take_rows(&b, &data, r, cbp_smaller(rows, n - r));
            b.jac = cbp_at(net, jac, r * net->n_out * columns);
            run_up(&b);
            run_outputs(&b);
        }
    }
    cbp_fp_leave(mode);
    return CBP_OK;
}
