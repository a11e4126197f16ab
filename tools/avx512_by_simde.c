/* avx512_by_simde.c - takes the place of csrc/kern/avx2.c in a build that proves the AVX-512 kernels on a CPU with
 * AVX2: SIMDe puts two 256-bit instructions for each of them. It must know of FMA, or it multiplies and adds.
 *
 * Used by builds.py. SIMDe gives its types and functions the names of Intel's, which must be known before.
 */
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include "kern/kern.inc"

/* Masked loads and stores, which this library has not or makes of whole ones: the lanes of the mask and no others */
#define MASKED(real, vector, mask_type, suffix) \
    static vector load_##suffix(mask_type mask, const real *p) { \
        real lane[sizeof(vector) / sizeof(real)] = {0}; \
        for (size_t i = 0; i < sizeof lane / sizeof *lane; i++) \
            if (mask >> i & 1) lane[i] = p[i]; \
        return simde_mm512_loadu_##suffix(lane); \
    } \
    static void store_##suffix(real *p, mask_type mask, vector v) { \
        real lane[sizeof(vector) / sizeof(real)]; \
        simde_mm512_storeu_##suffix(lane, v); \
        for (size_t i = 0; i < sizeof lane / sizeof *lane; i++) \
            if (mask >> i & 1) p[i] = lane[i]; \
    }
MASKED(float, __m512, __mmask16, ps)
MASKED(double, __m512d, __mmask8, pd)
#undef _mm512_maskz_loadu_ps
#undef _mm512_maskz_loadu_pd
#undef _mm512_mask_storeu_ps
#undef _mm512_mask_storeu_pd
#define _mm512_maskz_loadu_ps load_ps
#define _mm512_maskz_loadu_pd load_pd
#define _mm512_mask_storeu_ps store_ps
#define _mm512_mask_storeu_pd store_pd

#define ISA avx2
#include "simd/float32.h"
#include "simd/avx512.h"
#include "kern/all.inc"

#include "simd/float64.h"
#include "simd/avx512.h"
#include "kern/all.inc"
