/* start.h - what start.c gives to a program. */
#ifndef START_H
#define START_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void print(const char *text);
void print_hex(uint32_t u); /* eight digits */
void stop(int status);
uint32_t stack_used(void); /* most bytes of stack since the start */

#endif
