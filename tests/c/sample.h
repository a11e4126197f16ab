/* sample.h - a small network with its numbers and data, and the textbook's loops over it, written with naive.h. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "naive.h"

enum { MAX_LAYERS = 4, MAX_UNITS = 24 };

typedef struct {
    cbp_net *net;
    cbp_dtype dtype;
    int n_layers, width[MAX_LAYERS + 1]; /* n_0 .. n_L */
    cbp_act act[MAX_LAYERS + 1][MAX_UNITS];
    double arg[MAX_LAYERS + 1][MAX_UNITS];
    cbp_loss loss;
    cbp_reduction reduction;
    cbp_mem mem;
    cbp_data data;
} sample;

/* What the loops compute: A[0..L], D[1..L] (deltas), the gradient, J */
typedef struct {
    void *a[MAX_LAYERS + 1], *d[MAX_LAYERS + 1], *grad;
    double cost, weight, loss;
} textbook;

/* widths end with 0; every unit of layer l gets act[l - 1], its argument 0.2 */
HELPER sample shape(cbp_dtype dtype, const int *width, const cbp_act *act, cbp_loss loss) {
    sample s = {.dtype = dtype, .loss = loss, .reduction = CBP_MEAN};
    s.width[0] = width[0];
    for (int l = 1; width[l]; l++) {
        s.width[l] = width[l];
        s.n_layers = l;
        for (int j = 0; j < width[l]; j++) s.act[l][j] = act[l - 1], s.arg[l][j] = 0.2;
    }
    return s;
}

/* The default argument of a loss */
HELPER double loss_arg(cbp_loss loss) {
    const cbp_info *row = loss >= 0 && loss < CBP_N_LOSS ? cbp_table(CBP_LOSSES, NULL) + loss : NULL;
    return row && row->arg[0].name ? row->arg[0].value : 0;
}

HELPER cbp_status plan(sample *s, const char *isa) {
    cbp_dense layer[MAX_LAYERS] = {{0}};
    for (int l = 1; l <= s->n_layers; l++)
        layer[l - 1] = (cbp_dense){.units = s->width[l], .unit_act = s->act[l], .unit_act_arg = s->arg[l]};
    const cbp_spec spec = {.dtype = s->dtype,
                           .n_in = s->width[0],
                           .n_layers = s->n_layers,
                           .layers = layer,
                           .loss = s->loss,
                           .loss_arg = loss_arg(s->loss),
                           .reduction = s->reduction,
                           .isa = isa};
    return cbp_net_new(&s->net, &spec);
}

/* Plan, parameters in (-1, 1), m rows of data with targets in (0, 1), workspaces for all of them */
HELPER void fill(sample *s, const char *isa, int64_t m) {
    CHECK(plan(s, isa) == CBP_OK);
    const int64_t n = cbp_n_params(s->net);
    s->mem.theta = random_reals(s->dtype, n, -1, 1);
    s->mem.grad = random_reals(s->dtype, n, -1, 1);
    s->mem.work = block(cbp_work_bytes(s->net, m, CBP_EPOCH));
    s->data = (cbp_data){.n = m,
                         .x = random_reals(s->dtype, m * s->width[0], -1, 1),
                         .y = random_reals(s->dtype, m * s->width[s->n_layers], 0, 1)};
}

HELPER const void *theta_of(const sample *s, int l, int row) {
    const cbp_block b = cbp_layer(s->net, l);
    return (const char *)s->mem.theta + (size_t)(b.offset + (int64_t)row * b.cols) * size_of(s->dtype);
}
HELPER double theta_at(const sample *s, int l, int row, int col) { return get(s->dtype, theta_of(s, l, row), col); }

/* a: z -> g(z), d := g'(z) unit by unit; or for the output of a head loss h: z, or log a for a whole row */
HELPER void naive_activate(const sample *s, int l, char *a, char *d) {
    const cbp_kern *k = cbp_kern_for("scalar", s->dtype);
    const cbp_info *act = cbp_table(CBP_ACTIVATIONS, NULL) + s->act[l][0];
    const int head = l == s->n_layers && cbp_table(CBP_LOSSES, NULL)[s->loss].head;
    if (act->row_wise) {
        k->act[s->act[l][0]](1, s->width[l], s->width[l], 0, a, d);
        return;
    }
    for (int j = 0; j < s->width[l]; j++) {
        char *const aj = a + (size_t)j * size_of(s->dtype), *const dj = d + (size_t)j * size_of(s->dtype);
        const double z = get(s->dtype, aj, 0);
        k->act[s->act[l][j]](1, 1, 1, s->arg[l][j], aj, dj);
        if (head) put(s->dtype, dj, 0, z);
    }
}

HELPER void naive_forward(const sample *s, const cbp_data *data, textbook *t) {
    const size_t real = size_of(s->dtype);
    t->a[0] = copy_of(s->dtype, data->n * s->width[0], data->x);
    for (int l = 1; l <= s->n_layers; l++) {
        const int before = s->width[l - 1], n = s->width[l];
        t->a[l] = reals(s->dtype, data->n * n);
        t->d[l] = reals(s->dtype, data->n * n);
        naive_product(s->dtype, data->n, n, before, t->a[l - 1], before, 1, theta_of(s, l, 1), n, theta_of(s, l, 0),
                      t->a[l], n);
        for (int64_t r = 0; r < data->n; r++)
            naive_activate(s, l, (char *)t->a[l] + (size_t)(r * n) * real, (char *)t->d[l] + (size_t)(r * n) * real);
    }
}

/* The output's d becomes delta; costs are summed in double, row by row */
HELPER void naive_cost(const sample *s, const cbp_data *data, textbook *t) {
    const int n = s->width[s->n_layers], head = cbp_table(CBP_LOSSES, NULL)[s->loss].head;
    const int row_wise = cbp_table(CBP_ACTIVATIONS, NULL)[s->act[s->n_layers][0]].row_wise;
    const cbp_kern *k = cbp_kern_for("scalar", s->dtype);
    for (int64_t r = 0; r < data->n; r++) {
        void *y = zeros(s->dtype, n);
        for (int j = 0; j < n; j++)
            put(s->dtype, y, j, data->labels ? data->labels[r] == j : get(s->dtype, data->y, r * n + j));
        const char *a = (const char *)t->a[s->n_layers] + (size_t)(r * n) * size_of(s->dtype);
        char *d = (char *)t->d[s->n_layers] + (size_t)(r * n) * size_of(s->dtype);
        double c;
        void *const e = copy_of(s->dtype, n, d);
        k->loss[s->loss](1, n, loss_arg(s->loss), y, a, e, 0, &c);
        const double weight = data->weight ? get(s->dtype, data->weight, r) : 1;
        t->cost += weight * c;
        t->weight += weight;
        for (int j = 0; j < n; j++) {
            const double ej = get(s->dtype, e, j);
            put(s->dtype, d, j, head || row_wise ? ej : mul_(s->dtype, ej, get(s->dtype, d, j)));
        }
        if (row_wise && !head) k->act_back[s->act[s->n_layers][0]](1, n, a, d);
    }
    t->loss = s->reduction == CBP_SUM ? t->cost : t->cost / t->weight;
}

/* dJ/dtheta[l]: sum of s_r a_r delta_r in the order of r, then times 1 / sum of s_r */
HELPER void naive_layer_gradient(const sample *s, const cbp_data *data, textbook *t, int l) {
    const cbp_block b = cbp_layer(s->net, l);
    for (int i = 0; i < b.rows; i++)
        for (int j = 0; j < b.cols; j++) {
            double g = 0;
            for (int64_t r = 0; r < data->n; r++) {
                double delta = get(s->dtype, t->d[l], r * b.cols + j);
                if (data->weight) delta = mul_(s->dtype, get(s->dtype, data->weight, r), delta);
                g = fma_(s->dtype, i == 0 ? 1 : get(s->dtype, t->a[l - 1], r * (b.rows - 1) + i - 1), delta, g);
            }
            if (s->reduction == CBP_MEAN && t->weight != 1) g = mul_(s->dtype, to(s->dtype, 1 / t->weight), g);
            put(s->dtype, t->grad, b.offset + (int64_t)i * b.cols + j, g);
        }
}

/* delta of layer l - 1: the propagated error (the bias takes no part) times the slope that d holds */
HELPER void naive_delta_below(const sample *s, const cbp_data *data, textbook *t, int l) {
    const int n = s->width[l], below = s->width[l - 1];
    for (int64_t r = 0; r < data->n; r++)
        for (int i = 0; i < below; i++) {
            double e = 0;
            for (int j = 0; j < n; j++)
                e = fma_(s->dtype, get(s->dtype, t->d[l], r * n + j), theta_at(s, l, i + 1, j), e);
            put(s->dtype, t->d[l - 1], r * below + i, mul_(s->dtype, e, get(s->dtype, t->d[l - 1], r * below + i)));
        }
}

HELPER textbook naive_gradient(const sample *s, const cbp_data *data) {
    textbook t = {.grad = reals(s->dtype, cbp_n_params(s->net))};
    naive_forward(s, data, &t);
    naive_cost(s, data, &t);
    for (int l = s->n_layers; l >= 1; l--) {
        naive_layer_gradient(s, data, &t, l);
        if (l > 1) naive_delta_below(s, data, &t, l);
    }
    return t;
}

#endif
