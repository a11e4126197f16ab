/* heads.c - what the output layer costs: one loss for all of it, or several heads, each with a loss of its own.
 *
 * plan.c asks for checks and fills the table of heads; net.c calls for the cost. The loss kernels know matrices without
 * gaps, so the columns of a head are copied out and back where there are several.
 */
#include "net.h"

#include <math.h>
#include <string.h>

/* ---- the plan ---- */

int cbp_n_spans(const cbp_spec *spec, int l) { return l == spec->n_layers && spec->n_heads > 0 ? spec->n_heads : 1; }

cbp_head cbp_span(const cbp_spec *spec, int l, int i) {
    if (l == spec->n_layers && spec->n_heads > 0) return spec->heads[i];
    return (cbp_head){0, spec->layers[l - 1].units, spec->loss, spec->loss_arg, 1};
}

/* One loss on units of the output layer. One that is computed together with its output activation needs exactly that in
 * every unit. */
static cbp_status check_loss(const cbp_dense *output, const cbp_head *head) {
    if ((int)head->loss < 0 || head->loss >= CBP_N_LOSS) return CBP_BAD_LOSS;
    const cbp_info *row = &cbp_table(CBP_LOSSES, NULL)[head->loss];
    const double arg = head->loss_arg;
    if (row->arg[0].name && !(arg >= row->arg_range.low && arg <= row->arg_range.high)) return CBP_BAD_LOSS_ARG;
    if (row->pair[0] && head->units % 2) return CBP_ODD_OUTPUTS;
    for (int j = head->first; row->head && j < head->first + (output->unit_act ? head->units : 1); j++)
        if (strcmp(cbp_table(CBP_ACTIVATIONS, NULL)[cbp_unit_act(output, j)].name, row->partner) != 0)
            return CBP_LOSS_NEEDS_OUTPUT;
    return CBP_OK;
}

/* One after the other, and none beyond the layer */
cbp_status cbp_check_heads(const cbp_spec *spec) {
    int end = 0;
    if (spec->n_heads < 0 || (spec->n_heads > 0 && (!spec->heads || spec->own_loss))) return CBP_BAD_HEADS;
    for (int i = 0; i < spec->n_heads; i++) {
        const cbp_head *head = &spec->heads[i];
        const int left = spec->layers[spec->n_layers - 1].units - end;
        if (head->first != end || head->units < 1 || head->units > left) return CBP_BAD_HEADS;
        if (!(head->weight > 0 && head->weight < INFINITY)) return CBP_BAD_HEADS;
        end += head->units;
    }
    return spec->n_heads == 0 || end == spec->layers[spec->n_layers - 1].units ? CBP_OK : CBP_BAD_HEADS;
}

cbp_status cbp_check_losses(const cbp_spec *spec) {
    cbp_status status = CBP_OK;
    for (int i = 0; !spec->own_loss && !status && i < cbp_n_spans(spec, spec->n_layers); i++) {
        const cbp_head head = cbp_span(spec, spec->n_layers, i);
        status = check_loss(&spec->layers[spec->n_layers - 1], &head);
    }
    return status;
}

void cbp_fill_heads(cbp_net *net, const cbp_spec *spec, cbp_top *top) {
    const cbp_dense *output = &spec->layers[spec->n_layers - 1];
    net->top = top;
    for (int i = 0; i < cbp_n_spans(spec, spec->n_layers); i++) {
        const cbp_head head = cbp_span(spec, spec->n_layers, i);
        const cbp_info *row = spec->own_loss ? NULL : &cbp_table(CBP_LOSSES, NULL)[head.loss];
        const cbp_act act = cbp_unit_act(output, head.first);
        const cbp_info *its = &cbp_table(CBP_ACTIVATIONS, NULL)[act];
        top[i] = (cbp_top){.first = head.first,
                           .units = head.units,
                           .target = net->n_targets,
                           .n_targets = row && row->pair[0] ? head.units / 2 : head.units,
                           .loss = head.loss,
                           .loss_arg = head.loss_arg,
                           .weight = head.weight,
                           .act = act,
                           .row_wise = its->row_wise,
                           .starts_from_z = row && row->head};
        top[i].sees_z = row && (row->head || (its->row_wise && strcmp(row->partner, its->name) == 0));
        top[i].is_flat = row && !top[i].sees_z && strcmp(row->curvature, "ones_like(a)") == 0;
        net->n_targets += top[i].n_targets;
        net->loss_is_head |= top[i].starts_from_z || net->n_heads > 0;
        if (net->n_heads && head.units > net->widest_head) net->widest_head = head.units;
    }
}

/* ---- the cost ---- */

void cbp_top_cost(const cbp_net *net, const cbp_top *top, int64_t m, const void *y, const void *a, void *d, double *c) {
    cbp_loss_kernel *const loss = (net->missing ? net->k->missing_loss : net->k->loss)[top->loss];
    loss(m, top->n_targets, top->loss_arg, y, a, d, !top->row_wise, c);
    if (!top->starts_from_z && top->row_wise) net->k->act_back[top->act](m, top->units, a, d);
    cbp_steepen_delta(net, top, m, d);
}

void cbp_steepen_delta(const cbp_net *net, const cbp_top *top, int64_t m, void *d) {
    const double steepness = net->stage[net->n_layers].steepness;
    if (steepness != 1 && (top->starts_from_z || top->row_wise)) net->k->scale(m, top->units, steepness, d, top->units);
}

void cbp_heads_cost(const cbp_net *net, const cbp_frame *f, int64_t first, int64_t m, const void *y, const void *a,
                    void *d, double *c) {
    const int64_t size = net->widest_head;
    void *const hy = cbp_at(net, f->head, 3 * first * size), *const ha = cbp_at(net, hy, m * size);
    void *const hd = cbp_at(net, ha, m * size);
    double *const hc = f->head_c + first;
    for (int i = 0; i < net->n_heads; i++) {
        const cbp_top *top = &net->top[i];
        void *const columns = cbp_at(net, d, top->first);
        cbp_copy_rows(net, m, top->n_targets, cbp_at(net, y, top->target), net->n_targets, hy, top->n_targets);
        cbp_copy_rows(net, m, top->units, cbp_at(net, a, top->first), net->n_out, ha, top->units);
        cbp_copy_rows(net, m, top->units, columns, net->n_out, hd, top->units);
        cbp_top_cost(net, top, m, hy, ha, hd, hc);
        if (top->weight != 1) net->k->scale(m, top->units, top->weight, hd, top->units);
        cbp_copy_rows(net, m, top->units, hd, top->units, columns, net->n_out);
        for (int64_t r = 0; r < m; r++) c[r] = (i ? c[r] : 0) + top->weight * hc[r];
    }
}
