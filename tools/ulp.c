/* ulp.c - the largest error of the elementary functions and of what is made of them, over all 2^32 arguments of type
 * float, in units of the last place, against the C library's double functions. `make test-ulp` builds and runs it; it
 * takes a quarter of an hour.
 *
 *     ulp [STRIDE [NAME]]     looks at every STRIDE-th block of arguments only, and at one function
 */
#include "kern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 };

static double wanted_sigmoid(double z) { return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z)); }
static double wanted_softplus(double z) { return (z > 0 ? z : 0) + log1p(exp(-fabs(z))); }
static double wanted_normal_cdf(double z) { return erfc(-z * 0.70710678118654752440) / 2; }
static double wanted_silu(double z) { return z < -1000 ? -0.0 : z * wanted_sigmoid(z); }
static double wanted_mish(double z) { return z < -1000 ? -0.0 : z * tanh(wanted_softplus(z)); }
static double wanted_gelu(double z) { return z < -1000 ? -0.0 : z * wanted_normal_cdf(z); }
static double wanted_gelu_tanh(double z) {
    return z < -1000 ? -0.0 : z * wanted_sigmoid(1.5957691216057307117 * (z + 0.044715 * z * z * z));
}
static double wanted_gaussian(double z) { return exp(-z * z); }
static int any(float x) { return (void)x, 1; }
static int unit_interval(float x) { return x >= 0 && x <= 1; }
static int not_positive(float x) { return x <= 0; }
static int half_a_radian_apart(float x) { return fabsf(x) <= 0x1p22f; }

/* `math` where it is not negative, else the activation */
static const struct {
    const char *name;
    int math;
    cbp_act act;
    double (*wanted)(double);
    int (*defined)(float);
    double bound;
    int gated; /* z s(z): s may be subnormal, where it is right to 3/4 unit, which is 3/4 |z| units of the product */
} functions[] = {
    {"exp", CBP_EXP, CBP_N_ACT, exp, any, 1.5, 0},
    {"log", CBP_LOG, CBP_N_ACT, log, any, 2.5, 0},
    {"log1p", CBP_LOG1P, CBP_N_ACT, log1p, unit_interval, 2.5, 0},
    {"sigmoid", -1, CBP_ACT_sigmoid, wanted_sigmoid, any, 2.5, 0},
    {"tanh", -1, CBP_ACT_tanh, tanh, any, 2.5, 0},
    {"expm1", CBP_EXPM1, CBP_N_ACT, expm1, not_positive, 2.5, 0},
    {"softplus", -1, CBP_ACT_softplus, wanted_softplus, any, 2.5, 0},
    {"erf", CBP_ERF, CBP_N_ACT, erf, any, 2.5, 0},
    {"normal", CBP_NORMAL_CDF, CBP_N_ACT, wanted_normal_cdf, any, 2.5, 0},
    {"gaussian", -1, CBP_ACT_gaussian, wanted_gaussian, any, 2.5, 0},
    {"sin", -1, CBP_ACT_sin, sin, half_a_radian_apart, 2.5, 0},
    {"silu", -1, CBP_ACT_silu, wanted_silu, any, 3.5, 1},
    {"mish", -1, CBP_ACT_mish, wanted_mish, any, 3.5, 1},
    {"gelu", -1, CBP_ACT_gelu, wanted_gelu, any, 3.5, 1},
    {"gelu_tanh", -1, CBP_ACT_gelu_tanh, wanted_gelu_tanh, any, 3.5, 1},
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

/* Units of the last place of a float between got and wanted, beyond what is allowed; huge where only one of them is
 * finite or a number
 */
static double error(float got, double wanted, double allowed) {
    if (isnan(wanted) || isnan(got)) return isnan(wanted) && isnan(got) ? 0 : HUGE_VAL;
    if (isinf((float)wanted) || isinf(got)) return (float)wanted == got ? 0 : HUGE_VAL;
    int exponent;
    frexp(wanted, &exponent);
    const double distance = fmax(fabs((double)got - wanted) - allowed, 0);
    return distance / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

static void evaluate(const cbp_kern *k, int f, const float *x, float *out) {
    if (functions[f].math >= 0) {
        k->math[functions[f].math](BLOCK, x, out);
    } else {
        memcpy(out, x, BLOCK * sizeof *x);
        k->act[functions[f].act](1, BLOCK, BLOCK, 0, out, NULL);
    }
}

/* Largest error over the blocks, and where */
static double largest_error(const cbp_kern *k, int f, uint64_t stride, float *at) {
    static float x[BLOCK], out[BLOCK];
    double largest = 0;
    for (uint64_t start = 0; start >> 32 == 0; start += stride * BLOCK) {
        for (int i = 0; i < BLOCK; i++) {
            const uint32_t bits = (uint32_t)(start + (uint64_t)i);
            memcpy(x + i, &bits, sizeof bits);
        }
        evaluate(k, f, x, out);
        for (int i = 0; i < BLOCK; i++) {
            if (!functions[f].defined(x[i])) continue;
            const double wanted = functions[f].wanted(x[i]), allowed = functions[f].gated ? fabs(x[i]) * 0x1.8p-150 : 0;
            const double e = error(out[i], wanted, allowed);
            if (e > largest) largest = e, *at = x[i];
        }
    }
    return largest;
}

int main(int argc, char **argv) {
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const cbp_kern *k = cbp_kern_for(NULL, CBP_FLOAT32);
    int failed = 0, tried = 0;
    for (int f = 0; f < N_FUNCTIONS; f++) {
        if (argc > 2 && strcmp(argv[2], functions[f].name) != 0) continue;
        float at = 0;
        const double largest = largest_error(k, f, stride ? stride : 1, &at);
        const int good = largest <= functions[f].bound;
        printf("%-9s %.3f ULP at %.9g, bound %.1f: %s\n", functions[f].name, largest, (double)at, functions[f].bound,
               good ? "ok" : "FAILED");
        fflush(stdout);
        failed += !good;
        tried++;
    }
    printf("%d passed, %d failed\n", tried - failed, failed);
    return failed > 0 || tried == 0;
}
