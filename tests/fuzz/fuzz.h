/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A fuzzer is a file with the function libFuzzer calls, so that
 *
 *	clang -fsanitize=fuzzer,address ... tests/fuzz/fuzz_image.c
 *
 * works; driver.c runs the same function with any compiler, on random mutations of seeds.  It must
 * not crash, hang or leak, whatever the input is.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The driver's seeds, made by the fuzzer: `add` copies the input. */
void fuzz_seeds(void (*add)(const void *data, size_t size));
