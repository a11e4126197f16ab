/* kern/neon.c - the kernels for 64-bit Arm, where every processor has NEON with fma. */
#include "../prim.h"
#include "kern.inc"

#if defined(CBP_AARCH64)
#define ISA neon
#include "../simd/float32.h"
#include "../simd/neon.h"
#include "all.inc"

#include "../simd/float64.h"
#include "../simd/neon.h"
#include "all.inc"
#endif
