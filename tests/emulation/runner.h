// Between runner.cpp and the program that emulator.py writes around a kernel's text.
#pragma once
#include <cstdint>
#include <cstring>

namespace emulation {
struct Call {
    void *in[32], *out[32];
    const int64_t *in_shape[32], *out_shape[32];
    const double* numbers;
};

// Jittor's data["name"]
struct Data {
    const char* const* names;      // a null pointer after the last
    const double* values;
    double operator[](const char* name) const {
        int i = 0;
        while (strcmp(names[i], name)) i++;
        return values[i];
    }
};
}

void emulation_call(const emulation::Call& call);   // defined by the program
