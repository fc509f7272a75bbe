// main() of a program around one call of a kernel's host function: tensors and orders from stdin, results to stdout.
//
// Words of 8 bytes: how many orders, the orders, the launch to refuse, how many inputs, outputs and numbers; for each
// tensor its item's bytes, its dimensions and their sizes.  Then the numbers as doubles, then the inputs' bytes.
//
// Exit status 0: all is well.  1: complaints on stderr.  2: the host's code threw, its message is on stderr.  Others:
// the kernel crashed or a sanitizer found something; said on stderr.
#include "runner.h"
#include "scheduler.h"
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>
#include <unistd.h>

using namespace emulation;

namespace {
void read_exactly(void* to, size_t bytes) {
    if (bytes && fread(to, 1, bytes, stdin) != bytes) {
        fprintf(stderr, "the input ends early\n");
        exit(4);
    }
}

int64_t word() {
    int64_t v;
    read_exactly(&v, 8);
    return v;
}

struct Tensor {
    size_t item, bytes;
    std::vector<int64_t> shape;
    std::vector<char> content;
};

Tensor described() {
    Tensor t;
    t.item = t.bytes = word();
    for (int64_t n = word(); n > 0; n--) {
        t.shape.push_back(word());
        t.bytes *= t.shape.back();
    }
    return t;
}

void on_crash(int, siginfo_t* info, void*) {
    fprintf(stderr, "memory fault in %s: %s\n", where().c_str(), whose(info->si_addr).c_str());
    _exit(3);
}

void catch_crashes() {
    if (__asan_init) return;   // says more itself
    static char stack[64 << 10];
    stack_t alternative = {};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof stack;
    sigaltstack(&alternative, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}
}

int main() {
    std::vector<int> orders(word());
    for (int& o : orders) o = (int)word();
    refused_launch = word();
    std::vector<Tensor> inputs(word()), outputs(word());
    std::vector<double> numbers(word());
    for (Tensor& t : inputs) t = described();
    for (Tensor& t : outputs) t = described();
    read_exactly(numbers.data(), numbers.size() * 8);
    catch_crashes();

    Call call = {};
    call.numbers = numbers.data();
    for (size_t i = 0; i < inputs.size(); i++) {
        Memory memory = allocate("input " + std::to_string(i), inputs[i].bytes);
        read_exactly(memory.data, inputs[i].bytes);
        protect(memory);
        call.in[i] = memory.data;
        call.in_shape[i] = inputs[i].shape.data();
    }
    for (size_t run = 0; run < orders.size(); run++) {
        order = orders[run];
        std::vector<Memory> made;
        for (size_t i = 0; i < outputs.size(); i++) {
            made.push_back(allocate("output " + std::to_string(i), outputs[i].bytes));
            call.out[i] = made.back().data;
            call.out_shape[i] = outputs[i].shape.data();
        }
        try {
            emulation_call(call);
        } catch (const std::exception& error) {
            fprintf(stderr, "%s\n", error.what());
            return 2;
        }
        std::string kernel;
        if (take_error(&kernel)) complain("%s: its launch failed, and nobody asked", kernel.c_str());
        for (size_t i = 0; i < outputs.size(); i++) {
            Tensor& t = outputs[i];
            const char* now = made[i].data;
            if (run == 0) t.content.assign(now, now + t.bytes);
            else if (memcmp(t.content.data(), now, t.bytes))
                complain("output %zu depends on the order of threads or blocks (orders %d and %d)", i, orders[0],
                         order);
            release(made[i]);
        }
    }
    for (Tensor& t : outputs) fwrite(t.content.data(), 1, t.bytes, stdout);
    fflush(stdout);
    return faults ? 1 : 0;
}
