#pragma once
// What the harness says to a process, in a file that both have mapped. The harness writes the first
// two by their offsets, and reads the others to know that a fault was one.
#include <stdatomic.h>
#include <stdint.h>

struct fault_control {
    // Added to the time of day, in nanoseconds.
    _Atomic int64_t clock_offset;
    // Whether nothing more can be written under the folder.
    _Atomic int64_t is_disk_full;
    // How often another time was told, and how often a write was refused.
    _Atomic uint64_t shifted_reads;
    _Atomic uint64_t refused_writes;
};
