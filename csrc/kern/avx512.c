/* kern/avx512.c - the kernels for x86-64 with AVX-512 F and DQ. The target is set here, so no compiler flag is needed.
 */
#include "../prim.h"
#include "kern.inc"

#if defined(CBP_X86_64)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512dq,fma")
#endif

#define ISA avx512
#include "../simd/float32.h"
#include "../simd/avx512.h"
#include "all.inc"

#include "../simd/float64.h"
#include "../simd/avx512.h"
#include "all.inc"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
