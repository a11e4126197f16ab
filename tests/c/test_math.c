/* exp, log and what is made of them: sampled against libm in long double, with the bounds the documentation states. */
#include "naive.h"

#include <float.h>

typedef long double (*exact_fn)(long double);

static long double exact_sigmoid(long double z) { return 1 / (1 + expl(-z)); }
static long double exact_softplus(long double z) { return (z > 0 ? z : 0) + log1pl(expl(-fabsl(z))); }
static long double exact_normal_cdf(long double z) { return erfcl(-z / sqrtl(2)) / 2; }
static long double exact_gaussian(long double z) { return expl(-z * z); }

/* Reduced here, in parts of pi / 2 whose products with n are exact: the processor's own sine, which is what some
 * libraries have, knows pi to 66 bits only. |z| < 2^22. */
static long double exact_sin(long double z) {
    const long double n = roundl(z * 0x1.45f306dc9c883p-1L);
    const long double r = z - n * 0x1.921fb544p+0L - n * 0x1.0b4611a4p-34L - n * 0x1.13198a2e03707p-65L;
    switch ((int)n & 3) {
    case 0:
        return sinl(r);
    case 1:
        return cosl(r);
    case 2:
        return -sinl(r);
    default:
        return -cosl(r);
    }
}

/* Where `long double` is no longer than double, libm's own half unit is allowed for */
static double reference_error(cbp_dtype dtype) { return dtype == CBP_FLOAT64 && LDBL_MANT_DIG <= 53 ? 1.0 : 0.0; }

/* |got - want| in units of the last place that the precision has at want */
static double ulps(cbp_dtype dtype, double got, long double want) {
    const int digits = dtype == CBP_FLOAT32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int lowest = dtype == CBP_FLOAT32 ? FLT_MIN_EXP : DBL_MIN_EXP;
    int exponent;
    frexpl(want, &exponent);
    if (exponent < lowest) exponent = lowest;
    return (double)(fabsl((long double)got - want) / ldexpl(1, exponent - digits));
}

enum { SAMPLES = 20011 };

typedef void (*apply_fn)(const cbp_kern *k, int which, int64_t n, const void *x, void *out);

static void apply_math(const cbp_kern *k, int which, int64_t n, const void *x, void *out) { k->math[which](n, x, out); }
static void apply_act(const cbp_kern *k, int which, int64_t n, const void *x, void *out) {
    memcpy(out, x, (size_t)n * (k == cbp_kern_for(k->isa, CBP_FLOAT32) ? sizeof(float) : sizeof(double)));
    k->act[which](1, n, n, 0, out, NULL);
}

/* Largest error of f over samples of [low, high], spaced evenly (or, `even` false, in the logarithm) */
static void accurate(apply_fn apply, int which, exact_fn exact, double low, double high, int even, double bound) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++, release_blocks()) {
        const int64_t n = SAMPLES / one_in(5);
        void *x = reals(dtype, n), *y = reals(dtype, n);
        for (int64_t s = 0; s < n; s++) put(dtype, x, s, even ? uniform(low, high) : exp(uniform(log(low), log(high))));
        apply(k, which, n, x, y);
        for (int64_t s = 0; s < n; s++) {
            const double error = ulps(dtype, get(dtype, y, s), exact((long double)get(dtype, x, s)));
            CHECKF(error <= bound + reference_error(dtype), "f(%a) = %a is %g units off", get(dtype, x, s),
                   get(dtype, y, s), error);
        }
    }
}

CASE(exp_is_within_1_5_units) {
    accurate(apply_math, CBP_EXP, expl, -103, 88.7, 1, 1.5);
    accurate(apply_math, CBP_EXP, expl, -1, 1, 1, 1.5);
    accurate(apply_math, CBP_EXP, expl, 1e-12, 1, 0, 1.5);
}
CASE(log_is_within_2_5_units) {
    accurate(apply_math, CBP_LOG, logl, 1e-44, 3e38, 0, 2.5);
    accurate(apply_math, CBP_LOG, logl, 0.4, 2.5, 1, 2.5);
    accurate(apply_math, CBP_LOG, logl, 0.99, 1.01, 1, 2.5);
}
CASE(log1p_is_within_2_5_units) {
    accurate(apply_math, CBP_LOG1P, log1pl, 0, 1, 1, 2.5);
    accurate(apply_math, CBP_LOG1P, log1pl, 1e-30, 1, 0, 2.5);
}
CASE(sigmoid_is_within_2_5_units) {
    accurate(apply_act, CBP_ACT_sigmoid, exact_sigmoid, -87, 40, 1, 2.5);
    accurate(apply_act, CBP_ACT_sigmoid, exact_sigmoid, -2, 2, 1, 2.5);
}
CASE(tanh_is_within_2_5_units) {
    accurate(apply_act, CBP_ACT_tanh, tanhl, -20, 20, 1, 2.5);
    accurate(apply_act, CBP_ACT_tanh, tanhl, -1, 1, 1, 2.5);
    accurate(apply_act, CBP_ACT_tanh, tanhl, 1e-30, 1, 0, 2.5);
}
CASE(expm1_is_within_2_5_units) {
    accurate(apply_math, CBP_EXPM1, expm1l, -50, 0, 1, 2.5);
    accurate(apply_math, CBP_EXPM1, expm1l, -1, 0, 1, 2.5);
}
CASE(softplus_is_within_2_5_units) {
    accurate(apply_act, CBP_ACT_softplus, exact_softplus, -87, 40, 1, 2.5);
    accurate(apply_act, CBP_ACT_softplus, exact_softplus, -2, 2, 1, 2.5);
}
CASE(normal_distribution_is_within_2_5_units) {
    accurate(apply_math, CBP_NORMAL_CDF, exact_normal_cdf, -13, 6, 1, 2.5);
    accurate(apply_math, CBP_NORMAL_CDF, exact_normal_cdf, -1, 1, 1, 2.5);
}
CASE(erf_is_within_2_5_units) {
    accurate(apply_math, CBP_ERF, erfl, -6, 6, 1, 2.5);
    accurate(apply_math, CBP_ERF, erfl, -1, 1, 1, 2.5);
    accurate(apply_math, CBP_ERF, erfl, 1e-30, 1, 0, 2.5);
}
CASE(gaussian_is_within_2_5_units) {
    accurate(apply_act, CBP_ACT_gaussian, exact_gaussian, -9, 9, 1, 2.5);
    accurate(apply_act, CBP_ACT_gaussian, exact_gaussian, 1e-30, 1, 0, 2.5);
}
CASE(sin_is_within_2_5_units) {
    accurate(apply_act, CBP_ACT_sin, exact_sin, -20, 20, 1, 2.5);
    accurate(apply_act, CBP_ACT_sin, exact_sin, 1e-30, 4194304, 0, 2.5);
}
CASE(double_reaches_its_whole_range) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++, release_blocks()) {
        if (dtype != CBP_FLOAT64) continue;
        enum { n = 4001 };
        double *x = random_reals(dtype, n, -745, 709.7), *y = reals(dtype, n);
        k->math[CBP_EXP](n, x, y);
        for (int s = 0; s < n; s++)
            CHECKF(ulps(dtype, y[s], expl(x[s])) <= 1.5 + reference_error(dtype), "exp(%a)", x[s]);
        for (int s = 0; s < n; s++) x[s] = exp(x[s]);
        k->math[CBP_LOG](n, x, y);
        for (int s = 0; s < n; s++)
            CHECKF(ulps(dtype, y[s], logl(x[s])) <= 2.5 + reference_error(dtype), "log(%a)", x[s]);
    }
}

static void equals(apply_fn apply, int which, int n, const double *x, const double *want) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++, release_blocks()) {
        void *xs = reals(dtype, n), *got = reals(dtype, n);
        for (int e = 0; e < n; e++) put(dtype, xs, e, x[e]);
        apply(k, which, n, xs, got);
        for (int e = 0; e < n; e++) {
            const double g = get(dtype, got, e);
            CHECKF(isnan(want[e]) ? isnan(g) : g == want[e] && signbit(g) == signbit(want[e]), "f(%g) = %g, not %g",
                   x[e], g, want[e]);
        }
    }
}

CASE(ends_and_special_values_of_exp) {
    static const double x[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e30, -1e30, 710};
    static const double want[] = {1, 1, INFINITY, 0, NAN, INFINITY, 0, INFINITY};
    equals(apply_math, CBP_EXP, 8, x, want);
}
CASE(ends_and_special_values_of_log) {
    static const double x[] = {1, 0, -0.0, INFINITY, -INFINITY, -1, NAN};
    static const double want[] = {0, -INFINITY, -INFINITY, INFINITY, NAN, NAN, NAN};
    equals(apply_math, CBP_LOG, 7, x, want);
}
CASE(ends_and_special_values_of_sigmoid) {
    static const double x[] = {0, INFINITY, -INFINITY, 1e38, -1e38, NAN};
    static const double want[] = {0.5, 1, 0, 1, 0, NAN};
    equals(apply_act, CBP_ACT_sigmoid, 6, x, want);
}
CASE(ends_and_special_values_of_expm1) {
    static const double x[] = {0, -0.0, -INFINITY, -1e30, NAN};
    static const double want[] = {0, 0, -1, -1, NAN};
    equals(apply_math, CBP_EXPM1, 5, x, want);
}
CASE(ends_and_special_values_of_the_normal_distribution) {
    static const double x[] = {INFINITY, -INFINITY, 1e30, -1e30, NAN};
    static const double want[] = {1, 0, 1, 0, NAN};
    equals(apply_math, CBP_NORMAL_CDF, 5, x, want);
}
CASE(ends_and_special_values_of_erf) {
    static const double x[] = {0, -0.0, INFINITY, -INFINITY, 1e30, -1e30, NAN};
    static const double want[] = {0, -0.0, 1, -1, 1, -1, NAN};
    equals(apply_math, CBP_ERF, 7, x, want);
}
CASE(ends_and_special_values_of_sin_and_cos) {
    static const double x[] = {0, -0.0, INFINITY, -INFINITY, NAN};
    static const double sine[] = {0, -0.0, NAN, NAN, NAN}, cosine[] = {1, 1, NAN, NAN, NAN};
    equals(apply_act, CBP_ACT_sin, 5, x, sine);
    equals(apply_math, CBP_COS, 5, x, cosine);
}
CASE(gates_keep_the_sign_of_zero_and_end_at_it) {
    static const cbp_act gates[] = {CBP_ACT_silu, CBP_ACT_mish, CBP_ACT_gelu, CBP_ACT_gelu_tanh};
    static const double x[] = {0, -0.0, INFINITY, -INFINITY, 0x1p100, -0x1p100, NAN};
    static const double want[] = {0, -0.0, INFINITY, -0.0, 0x1p100, -0.0, NAN};
    for (int i = 0; i < 4; i++) equals(apply_act, (int)gates[i], 7, x, want);
}
CASE(ends_and_special_values_of_tanh) {
    static const double x[] = {0, -0.0, INFINITY, -INFINITY, 1e38, -1e38, NAN};
    static const double want[] = {0, -0.0, 1, -1, 1, -1, NAN};
    equals(apply_act, CBP_ACT_tanh, 7, x, want);
}
