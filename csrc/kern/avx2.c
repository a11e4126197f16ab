/* kern/avx2.c - the kernels for x86-64 with AVX2 and FMA. The target is set here, so no compiler flag is needed. */
#include "../prim.h"
#include "kern.inc"

#if defined(CBP_X86_64)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma")
#endif

#define ISA avx2
#include "../simd/float32.h"
#include "../simd/avx2.h"
#include "all.inc"

#include "../simd/float64.h"
#include "../simd/avx2.h"
#include "all.inc"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
