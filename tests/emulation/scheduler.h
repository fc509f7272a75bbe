// Between scheduler.cpp and runner.cpp.  Both are compiled without sanitizers, which would take the emulation's own
// bookkeeping for the kernels'; they are linked with kernels that are compiled with them.
#pragma once
#include "cuda_runtime.h"
#include <string>

// What a sanitizer's library offers; null where the program has none.
#define WEAK __attribute__((weak))
extern "C" {
WEAK void __asan_init();
WEAK void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
WEAK void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
WEAK void* __tsan_get_current_fiber();
WEAK void* __tsan_create_fiber(unsigned flags);
WEAK void __tsan_switch_to_fiber(void* fiber, unsigned flags);
WEAK void __tsan_acquire(void* address);
WEAK void __tsan_release(void* address);
}

namespace emulation {
// ---- what a run is told ----
extern int order;             // of threads and blocks: 0 first to last, 1 last to first, else a seed (run_block)
extern long refused_launch;   // the launch that fails, counted from 1; 0: none

// ---- what it says ----
extern long faults;           // complaints so far
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string where();          // the kernel, block and thread that run now
bool take_error(std::string* kernel);   // whether a launch failed and nobody asked; forgets it

// Memory for a kernel, filled with bytes that are NaN in every float type and huge in every integer.  What lies before
// and after it faults when it is touched: by AddressSanitizer, or by pages that nobody may use.
struct Memory {
    std::string name;
    char* data;
    size_t bytes;
    char* map;                // first of the pages; null where malloc gave the memory
    size_t mapped;
};
Memory allocate(const std::string& name, size_t bytes);
void fill(void* p, int byte, size_t count);    // as memset, which sanitizers watch
void protect(const Memory& memory);            // read only from here on, where pages are used
void release(const Memory& memory);            // complains of what was written just before and after it
std::string whose(const void* address);        // the memory that an address lies in or just beside, in words
}
