/* ulp.c - the largest error of exp, log, log1p, sigmoid and tanh over all 2^32 arguments of type float, in units of the
 * last place, against the C library's double functions. `make test-ulp` builds and runs it; it takes some minutes.
 *
 *     ulp [STRIDE]     looks at every STRIDE-th block of arguments only
 */
#include "kern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 };

static double wanted_sigmoid(double z) { return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z)); }
static int any(float x) { return (void)x, 1; }
static int unit_interval(float x) { return x >= 0 && x <= 1; }

/* `math` where it is not negative, else the activation */
static const struct {
    const char *name;
    int math;
    cbp_act act;
    double (*wanted)(double);
    int (*defined)(float);
    double bound;
} functions[] = {
    {"exp", CBP_EXP, CBP_N_ACT, exp, any, 1.5},
    {"log", CBP_LOG, CBP_N_ACT, log, any, 2.5},
    {"log1p", CBP_LOG1P, CBP_N_ACT, log1p, unit_interval, 2.5},
    {"sigmoid", -1, CBP_ACT_sigmoid, wanted_sigmoid, any, 2.5},
    {"tanh", -1, CBP_ACT_tanh, tanh, any, 2.5},
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

/* Units of the last place of a float that lie between got and wanted; huge where only one of them is finite or a number
 */
static double error(float got, double wanted) {
    if (isnan(wanted) || isnan(got)) return isnan(wanted) && isnan(got) ? 0 : HUGE_VAL;
    if (isinf((float)wanted) || isinf(got)) return (float)wanted == got ? 0 : HUGE_VAL;
    int exponent;
    frexp(wanted, &exponent);
    return fabs((double)got - wanted) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
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
            const double e = functions[f].defined(x[i]) ? error(out[i], functions[f].wanted(x[i])) : 0;
            if (e > largest) largest = e, *at = x[i];
        }
    }
    return largest;
}

int main(int argc, char **argv) {
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const cbp_kern *k = cbp_kern_for(NULL, CBP_FLOAT32);
    int failed = 0;
    for (int f = 0; f < N_FUNCTIONS; f++) {
        float at = 0;
        const double largest = largest_error(k, f, stride ? stride : 1, &at);
        const int good = largest <= functions[f].bound;
        printf("%-8s %.3f ULP at %.9g, bound %.1f: %s\n", functions[f].name, largest, (double)at, functions[f].bound,
               good ? "ok" : "FAILED");
        fflush(stdout);
        failed += !good;
    }
    printf("%d passed, %d failed\n", N_FUNCTIONS - failed, failed);
    return failed > 0;
}
