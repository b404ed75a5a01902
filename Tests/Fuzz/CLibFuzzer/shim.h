#pragma once
#include <stddef.h>
#include <stdint.h>

// libFuzzer's way in for a program that has a main of its own
// (https://llvm.org/docs/LibFuzzer.html#using-libfuzzer-as-a-library).
int LLVMFuzzerRunDriver(int *count, char ***arguments,
                        int (*input)(const uint8_t *data, size_t size));

// Descriptor of a file that is memory alone; glibc declares it only under _GNU_SOURCE.
int memfd_create(const char *name, unsigned int flags);
