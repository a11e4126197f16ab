/* gemm.c - the three products of a layer, each one call of the kernel's product with other strides.
 *
 * Called by net.c. theta of a layer is (n_in + 1, n_out), row 0 the bias. Here is the place where products are cut into
 * tiles for the pool; any cut keeps the bits, as long as one thread owns one element.
 */
#include "net.h"

/* z := bias + a W, equation 1 of the forward pass */
void cbp_nn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, void *z) {
    net->k->product(m, s->n_out, s->n_in, a, s->n_in, 1, cbp_at(theta, s->n_out, net->real), s->n_out, theta, z,
                    s->n_out);
}

/* e := delta W^T: the propagated error; the bias row takes no part. W is turned first, so that vectors run along e. */
void cbp_nt(const cbp_net *net, const cbp_stage *s, int64_t m, const void *delta, const void *theta, void *turned,
            void *e) {
    net->k->transpose(s->n_in, s->n_out, cbp_at(theta, s->n_out, net->real), turned);
    net->k->product(m, s->n_in, s->n_out, delta, s->n_out, 1, turned, s->n_in, NULL, e, s->n_in);
}

/* g := [1 a]^T delta: row 0 is the bias's, whose input is always 1 */
void cbp_tn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *delta, void *g) {
    const float one = 1;
    const double one_d = 1;
    const void *unit = net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d;
    char *weights = (char *)g + (size_t)s->n_out * net->real;
    net->k->product(1, s->n_out, m, unit, 0, 0, delta, s->n_out, NULL, g, s->n_out);
    net->k->product(s->n_in, s->n_out, m, a, 1, s->n_in, delta, s->n_out, NULL, weights, s->n_out);
}
