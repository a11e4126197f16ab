/* edge.c - the edge of the network: outputs, cost and its derivatives, second ones included, of the columns that belong
 * to one loss.
 *
 * Called by curve.c; calls the kernel table. The loss is taken as a function of "what it sees": the activations a, or
 * s z, s being the steepness, where it is computed together with its output activation or belongs to a row-wise one.
 * Its Hessian by that is the middle of the Gauss-Newton matrix.
 */
#include "net.h"

#include <string.h>

static const cbp_stage *output(const cbp_net *net) { return &net->stage[net->n_layers]; }

static size_t bytes(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    return (size_t)e->m * (size_t)top->units * net->real;
}

static void multiply(const cbp_net *net, const cbp_top *top, const cbp_edge *e, const void *by, void *x) {
    net->k->multiply(e->m, top->units, by, top->units, x, top->units);
}

static void scale(const cbp_net *net, const cbp_top *top, const cbp_edge *e, double factor, void *x) {
    if (factor != 1) net->k->scale(e->m, top->units, factor, x, top->units);
}

/* The columns of a run, among those of the top; NULL where it belongs to another top */
static void *columns(const cbp_net *net, const cbp_top *top, const cbp_run *run, void *x) {
    const int first = run->first - top->first;
    return first >= 0 && first < top->units ? cbp_at(net, x, first) : NULL;
}

void cbp_edge_activate(const cbp_net *net, const cbp_top *top, const cbp_edge *e, int for_loss) {
    const cbp_stage *s = output(net);
    const int keep = for_loss && top->starts_from_z && !top->row_wise;
    scale(net, top, e, s->steepness, e->a);
    if (keep) memcpy(e->d, e->a, bytes(net, top, e));
    if (e->curving) memcpy(e->curving, e->a, bytes(net, top, e));
    for (int i = 0; i < s->n_runs; i++) {
        const cbp_run *run = &s->runs[i];
        void *const a = columns(net, top, run, e->a), *const q = e->curving ? columns(net, top, run, e->curving) : NULL;
        if (!a) continue;
        if (q && !top->row_wise) net->k->curve[run->act](e->m, run->count, top->units, run->arg, q);
        net->k->act[run->act](e->m, run->count, top->units, run->arg, a, keep ? NULL : columns(net, top, run, e->d));
    }
}

void cbp_edge_cost(const cbp_net *net, const cbp_top *top, const cbp_edge *e, double *c) {
    if (net->own_loss) {
        net->own_loss(net->own_ctx, e->m, net->n_out, e->y, e->a, c, e->u);
        return;
    }
    cbp_loss_kernel *const loss = (net->missing ? net->k->missing_loss : net->k->loss)[top->loss];
    memcpy(e->u, e->d, bytes(net, top, e));
    loss(e->m, top->n_targets, top->loss_arg, e->y, e->a, e->u, 0, c);
}

/* t, a derivative by a, becomes that by s z */
static void back_from_a(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    if (top->row_wise)
        net->k->act_back[top->act](e->m, top->units, e->a, e->t);
    else
        multiply(net, top, e, e->d, e->t);
}

void cbp_edge_delta(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    memcpy(e->t, e->u, bytes(net, top, e));
    if (!top->starts_from_z) back_from_a(net, top, e);
    scale(net, top, e, output(net)->steepness * top->weight, e->t);
}

/* t, a change of s z, becomes that of a, or stays */
static void forth(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    if (top->row_wise)
        net->k->along[top->act](e->m, top->units, e->a, e->t);
    else
        multiply(net, top, e, e->d, e->t);
}

/* t, a change of a, or of s z for a loss that is computed with it and not row-wise, times the second derivative */
static void bend(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    cbp_curve_kernel *const curve = (net->missing ? net->k->missing_loss_curve : net->k->loss_curve)[top->loss];
    curve(e->m, top->n_targets, top->loss_arg, e->y, e->a, e->d, e->t);
}

/* t, a change of a = g(s z), row-wise, becomes that of the derivative by s z */
static void turn_row(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    memcpy(e->w, e->t, bytes(net, top, e));
    bend(net, top, e);
    net->k->back_along[top->act](e->m, top->units, e->a, e->w, e->u, e->t);
}

/* t, a change of what the loss sees, becomes that of the derivative by it */
static void bend_seen(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    if (!top->sees_z) {
        bend(net, top, e);
    } else if (top->starts_from_z) {
        if (top->row_wise) forth(net, top, e);
        bend(net, top, e);
    } else {
        forth(net, top, e);
        turn_row(net, top, e);
    }
}

void cbp_edge_gauss_newton(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    const int by_a = !top->sees_z;
    const double steepness = output(net)->steepness;
    scale(net, top, e, steepness, e->t);
    if (by_a) forth(net, top, e);
    bend_seen(net, top, e);
    if (by_a) back_from_a(net, top, e);
    scale(net, top, e, steepness * top->weight, e->t);
}

void cbp_edge_turn(const cbp_net *net, const cbp_top *top, const cbp_edge *e) {
    const double steepness = output(net)->steepness;
    if (top->sees_z) {
        cbp_edge_gauss_newton(net, top, e);
        return;
    }
    scale(net, top, e, steepness, e->t);
    if (top->row_wise) {
        forth(net, top, e);
        turn_row(net, top, e);
    } else { /* delta = u g': u' g' + u g'' t */
        memcpy(e->w, e->t, bytes(net, top, e));
        multiply(net, top, e, e->curving, e->w);
        multiply(net, top, e, e->u, e->w);
        forth(net, top, e);
        bend(net, top, e);
        back_from_a(net, top, e);
        net->k->add(e->m, top->units, e->w, top->units, e->t, top->units);
    }
    scale(net, top, e, steepness * top->weight, e->t);
}

void cbp_edge_seed(const cbp_net *net, const cbp_top *top, const cbp_edge *e, int j, int by_a, int curved) {
    const double one = 1;
    memset(e->t, 0, bytes(net, top, e));
    for (int64_t r = 0; r < e->m; r++) net->k->assign(1, 1, &one, cbp_at(net, e->t, r * top->units + j));
    if (curved) bend_seen(net, top, e);
    if (by_a || !top->sees_z) back_from_a(net, top, e);
    scale(net, top, e, output(net)->steepness * (curved ? top->weight : 1), e->t);
}
