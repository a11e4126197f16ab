/* The optimisers: every row equals scalar code on bytes, and each of the textbook's equals its definition. */
#include "naive.h"

enum { LONGEST = 37, STEPS = 3, MORE_STEPS = 6 };

static const cbp_kern *k;
static cbp_dtype dtype;

static const cbp_info *row(int opt) { return cbp_table(CBP_OPTIMIZERS, NULL) + opt; }

static const double *defaults(int opt) {
    double *value = zeros(CBP_FLOAT64, CBP_MAX_ARGS);
    for (int i = 0; row(opt)->arg[i].name; i++) value[i] = row(opt)->arg[i].value;
    return value;
}

/* With another gradient at every step, so that signs change, and with a loss that falls and rises */
CASE(every_optimizer_equals_scalar) {
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int opt = 0; opt < CBP_N_OPT; opt++)
            for (int64_t n = 0; n <= LONGEST; n++, release_blocks()) {
                NOTE("%s %s, %s, n %d", k->isa, DTYPE_NAME[dtype], row(opt)->name, (int)n);
                const int64_t n_slots = row(opt)->n_slots * n;
                const double *arg = defaults(opt);
                const cbp_kern *scalar = cbp_kern_for("scalar", dtype);
                void *w = random_reals(dtype, n, -1, 1), *want_w = copy_of(dtype, n, w);
                void *slots = zeros(dtype, n_slots), *want_slots = zeros(dtype, n_slots);
                for (int64_t t = 1; t <= MORE_STEPS; t++) {
                    const void *g = random_reals(dtype, n, -1, 1);
                    const double loss = 1.5 + (t % 3 == 0);
                    k->opt[opt](1, n, n, arg, 0.05, t, loss, w, 0.3, g, n, slots, n);
                    scalar->opt[opt](1, n, n, arg, 0.05, t, loss, want_w, 0.3, g, n, want_slots, n);
                }
                CHECK_BYTES(n, size_of(dtype), w, want_w);
                CHECK_BYTES(n_slots, size_of(dtype), slots, want_slots);
            }
}

/* A rectangle of a matrix, its gradient elsewhere with rows of another length: the same as the elements one by one */
CASE(every_optimizer_updates_rectangles) {
    enum { rows = 3, cols = 21, ld = 30, ldg = 24, n = rows * ld };
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int opt = 0; opt < CBP_N_OPT; opt++, release_blocks()) {
            NOTE("%s %s, %s", k->isa, DTYPE_NAME[dtype], row(opt)->name);
            const int n_slots = row(opt)->n_slots;
            const double *arg = defaults(opt);
            void *w = random_reals(dtype, n, -1, 1), *want_w = copy_of(dtype, n, w);
            void *slots = random_reals(dtype, n_slots * n, 0, 1), *want_slots = copy_of(dtype, n_slots * n, slots);
            const void *g = random_reals(dtype, rows * ldg, -1, 1);
            k->opt[opt](rows, cols, ld, arg, 0.05, 2, 0.5, w, 0.3, g, ldg, slots, n);
            const size_t real = size_of(dtype);
            for (int e = 0; e < rows * cols; e++) {
                const size_t at = (size_t)(e / cols * ld + e % cols) * real;
                const char *from = (const char *)g + (size_t)(e / cols * ldg + e % cols) * real;
                k->opt[opt](1, 1, 1, arg, 0.05, 2, 0.5, (char *)want_w + at, 0.3, from, 1, (char *)want_slots + at, n);
            }
            CHECK_BYTES(n, real, w, want_w);
            CHECK_BYTES(n_slots * n, real, slots, want_slots);
        }
}

/* One element of one step, from the row's formula in the order of its fma; s are its slots */
typedef double (*step_fn)(const double *arg, double lr, int t, double w, double g, double *s);

static double sgd(const double *arg, double lr, int t, double w, double g, double *s) {
    (void)arg, (void)t, (void)s;
    return fma_(dtype, -to(dtype, lr), g, w);
}

static double momentum(const double *arg, double lr, int t, double w, double g, double *s) {
    (void)t;
    s[0] = fma_(dtype, -to(dtype, lr), g, mul_(dtype, to(dtype, arg[0]), s[0]));
    return add_(dtype, w, s[0]);
}

static double nesterov(const double *arg, double lr, int t, double w, double g, double *s) {
    momentum(arg, lr, t, w, g, s);
    return add_(dtype, w, fma_(dtype, -to(dtype, lr), g, mul_(dtype, to(dtype, arg[0]), s[0])));
}

static double repeated(double x, int n) { return n == 1 ? x : n == 2 ? x * x : x * (x * x); }

static double adam(const double *arg, double lr, int t, double w, double g, double *s) {
    const double beta1 = arg[0], beta2 = arg[1], eps = arg[2];
    const double rate = to(dtype, lr / (1 - repeated(beta1, t))), root = to(dtype, 1 / sqrt(1 - repeated(beta2, t)));
    s[0] = fma_(dtype, to(dtype, beta1), s[0], mul_(dtype, to(dtype, 1 - beta1), g));
    s[1] = fma_(dtype, to(dtype, beta2), s[1], mul_(dtype, to(dtype, 1 - beta2), mul_(dtype, g, g)));
    const double divisor = fma_(dtype, root, sqrt_(dtype, s[1]), to(dtype, eps));
    return fma_(dtype, -rate, div_(dtype, s[0], divisor), w);
}

static void equals_definition(cbp_optimizer opt, step_fn step) {
    enum { n = 19 };
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++, release_blocks()) {
        const int n_slots = row(opt)->n_slots;
        const double *arg = defaults(opt);
        void *w = random_reals(dtype, n, -1, 1), *want = copy_of(dtype, n, w), *slots = zeros(dtype, n_slots * n);
        double state[n][2] = {{0}};
        for (int t = 1; t <= STEPS; t++) {
            const void *g = random_reals(dtype, n, -1, 1);
            k->opt[opt](1, n, n, arg, 0.05, t, 0, w, 1, g, n, slots, n);
            for (int e = 0; e < n; e++)
                put(dtype, want, e, step(arg, 0.05, t, get(dtype, want, e), get(dtype, g, e), state[e]));
            CHECK_BYTES(n, size_of(dtype), w, want);
            for (int e = 0; e < n * n_slots; e++) CHECK(get(dtype, slots, e) == state[e % n][e / n]);
        }
    }
}

CASE(sgd_is_its_definition) { equals_definition(CBP_OPT_sgd, sgd); }
CASE(momentum_is_its_definition) { equals_definition(CBP_OPT_momentum, momentum); }
CASE(nesterov_is_its_definition) { equals_definition(CBP_OPT_nesterov, nesterov); }
CASE(adam_is_its_definition) { equals_definition(CBP_OPT_adam, adam); }
