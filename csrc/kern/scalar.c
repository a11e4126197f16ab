/* kern/scalar.c - the kernels in plain C11, for every processor. */
#include "kern.inc"

#define ISA scalar
#include "../simd/float32.h"
#include "../simd/scalar.h"
#include "all.inc"

#include "../simd/float64.h"
#include "../simd/scalar.h"
#include "all.inc"
