/* values.c ISA PRECISION KIND NAME ARG - one function at the numbers of the standard input, printed: for
 * test_accuracy.py. KIND: math (the elementary functions of kern.h), value or slope (of an activation). Both ways a
 * number is text that is exact in any precision.
 */
#if defined(_MSC_VER) && !defined(__clang__)
#define _CRT_SECURE_NO_WARNINGS
#endif
#include "kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8192 };

static const char *const MATH[CBP_N_MATH] = {
    [CBP_EXP] = "exp", [CBP_LOG] = "log", [CBP_LOG1P] = "log1p", [CBP_EXPM1] = "expm1", [CBP_NORMAL_CDF] = "normal_cdf",
    [CBP_ERF] = "erf", [CBP_COS] = "cos",
};

/* Number of a name in either table, or the end of the program */
static int find(int is_math, const char *name) {
    for (int i = 0; i < (is_math ? (int)CBP_N_MATH : (int)CBP_N_ACT); i++)
        if (strcmp(is_math ? MATH[i] : cbp_table(CBP_ACTIVATIONS, NULL)[i].name, name) == 0) return i;
    fprintf(stderr, "no function called %s\n", name);
    exit(2);
}

int main(int argc, char **argv) {
    static double x[MOST], out[MOST];
    static float single[MOST];
    if (argc != 6) return 2;
    const int is_float = strcmp(argv[2], "float32") == 0, is_math = strcmp(argv[3], "math") == 0;
    const cbp_kern *const k = cbp_kern_for(argv[1], is_float ? CBP_FLOAT32 : CBP_FLOAT64);
    const int which = find(is_math, argv[4]), is_slope = strcmp(argv[3], "slope") == 0;
    int64_t n = 0;
    char word[64];
    while (n < MOST && scanf("%63s", word) == 1) x[n] = strtod(word, NULL), single[n] = (float)x[n], n++;
    if (!k || n < 1) return 2;

    void *const in = is_float ? (void *)single : x;
    static float single_out[MOST];
    void *const d = is_float ? (void *)single_out : out;
    if (is_math)
        k->math[which](n, in, d);
    else
        k->act[which](1, n, n, atof(argv[5]), in, d);
    const int is_in_place = !is_math && !is_slope;
    for (int64_t i = 0; i < n; i++)
        printf("%a\n", is_float ? (double)(is_in_place ? single : single_out)[i] : (is_in_place ? x : out)[i]);
    return 0;
}
