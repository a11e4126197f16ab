/* hard_swish.c - looks at an activation that was just added; docs/howto/activation.md says how to build it. */
#include "cbp.h"

#include <stdio.h>
#include <stdlib.h>

int main(void) {
    const cbp_info *row = &cbp_table(CBP_ACTIVATIONS, NULL)[CBP_ACT_hard_swish];
    printf("%s: %s\nslope %s\ncurvature %s\n", row->name, row->formula, row->slope, row->curvature);

    const cbp_dense unit = {.units = 1, .act = CBP_ACT_hard_swish};
    const cbp_spec spec = {.dtype = CBP_FLOAT64, .n_in = 1, .n_layers = 1, .layers = &unit};
    cbp_net *net;
    if (cbp_net_new(&net, &spec)) return EXIT_FAILURE;

    double theta[] = {0, 1}, grad[2], a, loss; /* z = 0 + 1 x */
    const double x = 2;
    cbp_mem mem = {.theta = theta, .grad = grad, .work = malloc(cbp_work_bytes(net, 1, CBP_TRAIN))};
    if (!mem.work || cbp_predict(net, &mem, 1, &x, &a)) return EXIT_FAILURE;
    const double y = a - 1;
    const cbp_data sample = {.n = 1, .x = &x, .y = &y};
    if (cbp_gradient(net, &mem, &sample, &loss)) return EXIT_FAILURE;
    printf("g(2) = %.6f, g'(2) = %.6f\n", a, grad[0]);

    free(mem.work);
    cbp_net_free(net);
    return EXIT_SUCCESS;
}
