/* curves.c ISA PRECISION KIND NAME ARG N - one kernel of second derivatives on the numbers of the standard input, what
 * it makes of the last array printed: for test_curvature_rows.py. KIND and the arrays, of N columns each, that follow
 * one another: curve (z), along (a, t), back_along (a, a_dot, u, u_dot), loss and missing_loss (y, a, h, t; all but y
 * have 2 N columns where the loss takes its outputs in pairs), no_h (the same, h being given as NULL). Both ways a
 * number is text that is exact in any precision.
 */
#if defined(_MSC_VER) && !defined(__clang__)
#define _CRT_SECURE_NO_WARNINGS
#endif
#include "kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 18 };

static double x[MOST];
static float single[MOST];
static int is_float;

static void *at(int64_t i) { return is_float ? (void *)(single + i) : x + i; }

/* Number of a name in a table, or the end of the program */
static int find(cbp_kind kind, const char *name) {
    int n;
    const cbp_info *rows = cbp_table(kind, &n);
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0) return i;
    fprintf(stderr, "no row called %s\n", name);
    exit(2);
}

/* Calls the kernel on `size` numbers; returns where the last array begins */
static int64_t run_act(const cbp_kern *k, const char *kind, int act, double arg, int64_t n, int64_t size) {
    const int arrays = strcmp(kind, "curve") == 0 ? 1 : strcmp(kind, "along") == 0 ? 2 : 4;
    const int64_t part = size / arrays, last = size - part;
    if (arrays == 1)
        k->curve[act](part / n, n, n, arg, at(0));
    else if (arrays == 2)
        k->along[act](part / n, n, at(0), at(last));
    else
        k->back_along[act](part / n, n, at(0), at(part), at(2 * part), at(last));
    return last;
}

static int64_t run_loss(const cbp_kern *k, const char *kind, int loss, double arg, int64_t n, int64_t size) {
    const int width = cbp_table(CBP_LOSSES, NULL)[loss].pair[0] ? 2 : 1;
    const int64_t m = size / n / (1 + 3 * width), part = m * n * width, last = size - part;
    const void *h = strcmp(kind, "no_h") == 0 ? NULL : at(m * n + part);
    (strcmp(kind, "missing_loss") ? k->loss_curve : k->missing_loss_curve)[loss](m, n, arg, at(0), at(m * n), h,
                                                                                 at(last));
    return last;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    is_float = strcmp(argv[2], "float32") == 0;
    const cbp_kern *const k = cbp_kern_for(argv[1], is_float ? CBP_FLOAT32 : CBP_FLOAT64);
    const int is_act = strcmp(argv[3], "curve") == 0 || strstr(argv[3], "along") != NULL;
    const int row = find(is_act ? CBP_ACTIVATIONS : CBP_LOSSES, argv[4]);
    int64_t size = 0;
    char word[64];
    while (size < MOST && scanf("%63s", word) == 1) x[size] = strtod(word, NULL), single[size] = (float)x[size], size++;
    if (!k || size < 1 || size == MOST) return 2;
    int64_t i = (is_act ? run_act : run_loss)(k, argv[3], row, atof(argv[5]), atoi(argv[6]), size);
    for (; i < size; i++) printf("%a\n", is_float ? (double)single[i] : x[i]);
    return 0;
}
