/* cpu.c - which kernel table a plan gets: the best this CPU can run, unless CBP_ISA or the caller names another. */
#include "atomic.h"
#include "kern.h"
#include "prim.h"

#include <stdlib.h>
#include <string.h>

static int always(void) { return 1; }

/* Best first */
static const struct {
    const char *name;
    int (*usable)(void);
    const cbp_kern *f32, *f64;
} isas[] = {
#if defined(CBP_X86_64)
    {"avx512", cbp_has_avx512, &cbp_kern_avx512_f32, &cbp_kern_avx512_f64},
    {"avx2", cbp_has_avx2, &cbp_kern_avx2_f32, &cbp_kern_avx2_f64},
#elif defined(CBP_AARCH64)
    {"neon", always, &cbp_kern_neon_f32, &cbp_kern_neon_f64},
#endif
    {"scalar", always, &cbp_kern_scalar_f32, &cbp_kern_scalar_f64},
};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

/* Whether this CPU can run row i. The answer is kept: in a virtual machine a look takes longer than a small network. */
static int usable(int i) {
    enum { UNKNOWN, NO, YES };
    static cbp_atomic known[N_ISAS];
    if (cbp_load(&known[i]) == UNKNOWN) cbp_store(&known[i], isas[i].usable() ? YES : NO);
    return cbp_load(&known[i]) == YES;
}

/* Index of the named instruction set if this CPU has it, else -1 */
static int find(const char *name) {
    for (int i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i].name, name) == 0) return usable(i) ? i : -1;
    return -1;
}

static int best(void) {
    const char *wanted = getenv("CBP_ISA");
    const int named = wanted && *wanted ? find(wanted) : -1;
    if (named >= 0) return named;
    int i = 0;
    while (i < N_ISAS - 1 && !usable(i)) i++;
    return i;
}

const char *cbp_isa_at(int i) {
    for (int k = 0; k < N_ISAS; k++)
        if (usable(k) && i-- == 0) return isas[k].name;
    return NULL;
}

const char *cbp_isa(void) { return isas[best()].name; }

const cbp_kern *cbp_kern_for(const char *isa, cbp_dtype dtype) {
    const int i = isa ? find(isa) : best();
    if (i < 0) return NULL;
    return dtype == CBP_FLOAT32 ? isas[i].f32 : isas[i].f64;
}
