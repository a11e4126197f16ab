/* curve.h - some hundred rows on their way up and down the network, with a direction along which everything changes:
 * what curve.c asks of along.c. Not installed.
 */
#ifndef CBP_CURVE_H
#define CBP_CURVE_H

#include "net.h"

/* What rows are looked at for */
typedef enum {
    CBP_FOR_GRADIENT,
    CBP_FOR_HESSIAN,
    CBP_FOR_GAUSS_NEWTON,
    CBP_FOR_MATRIX,
    CBP_FOR_OUTPUTS,
    CBP_FOR_INPUTS
} cbp_aim;

/* A block of rows. f holds A, g' in the place of D, and the errors E, which become delta; t the same for the
 * direction: A., g'' * Z., and E., which becomes delta., or the errors of one output after the other. */
typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    cbp_aim aim;
    cbp_data data;
    void *v, *still; /* the direction; (m, n_0) zeros: how the inputs change */
    cbp_frame f, t;
    char *edge;   /* (m, n_L) of what cbp_edge has, but y, column by column of tops */
    void *y;      /* (m, n_targets) likewise */
    void *e0;     /* CBP_FOR_INPUTS: (m, n_0) errors of the inputs */
    void *jac;    /* CBP_FOR_OUTPUTS, _INPUTS: where the rows' part of the Jacobian goes */
    int flat;     /* CBP_FOR_MATRIX: the Hessian of the loss is the identity */
    void *pairs;  /* (m, cbp_matrix_numbers): inputs with their 1, and pairs of units */
    void *places; /* for each thread cbp_matrix_room bytes */
    void *sum;    /* (P) gradient, or (P, P) matrix, to which the block adds */
    int of_direction;
    cbp_cut cut, rows; /* of what is under way; of the rows, from the way up on: `edge` is laid out by its parts */
} cbp_chunk;

static inline int cbp_is_along(cbp_aim aim) { return aim == CBP_FOR_HESSIAN || aim == CBP_FOR_GAUSS_NEWTON; }

static inline int cbp_n_tops(const cbp_net *net) { return net->n_heads ? net->n_heads : 1; }

/* Rows first .. first + m of a block: A, slopes, costs and the errors of the output layer; its net inputs' change */
void cbp_rows_up(const cbp_chunk *b, int64_t first, int64_t m, void *room);
/* Errors become deltas, those of f, and of t, each times its sample's weight where sums are made of them */
void cbp_rows_down(const cbp_chunk *b, int64_t first, int64_t m, void *room);
/* Deltas, in a frame, of output j of a top, or, `curved`, of the Hessian of the loss times that */
void cbp_output_down(const cbp_chunk *b, const cbp_top *top, int j, int curved, const cbp_frame *to, int64_t first,
                     int64_t m, void *room);

/* ---- matrix.c ---- */

/* Rows of a block; what it needs in the workspace: numbers for each row, and bytes for each thread */
int64_t cbp_matrix_rows(const cbp_net *net);
int64_t cbp_matrix_numbers(const cbp_net *net);
size_t cbp_matrix_room(const cbp_net *net, int64_t m);
/* matrix += the block's share, in its upper triangle, and of the pairs within a layer one of each; when all have been
 * added, the rest of it */
void cbp_matrix_add(cbp_chunk *b, void *matrix);
void cbp_matrix_complete(const cbp_net *net, void *matrix);

#endif
