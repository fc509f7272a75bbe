// Runs CUDA kernels on the CPU: the threads of a block are fibers that take turns, in an order that a run chooses.
//
// A fiber runs until it waits (a barrier, a shuffle) or ends.  When none can run, first the warps that are complete go
// on, then the whole block; when nothing can go on, that is a deadlock and said so.  Any order of turns is one that a
// GPU may take, so a result that depends on it is a fault of the kernel's.
#include "scheduler.h"
#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>
#include <sys/mman.h>
#include <unistd.h>

dim3 threadIdx(0, 0, 0), blockIdx(0, 0, 0), blockDim, gridDim;

namespace emulation {
int order = 0;
long refused_launch = 0, faults = 0;

namespace {
const size_t PAGE = 4096, STACK = 128 << 10;
const int GARBAGE = 0xff, MARGIN = 0xa5;
const long MOST_SAID = 20;                     // complaints that are printed
const unsigned WARP = 32;

enum State { READY, WAITING, DONE };
struct Thread {
    void* stack_pointer;
    char* stack;
    void *asan_stack, *tsan_fiber;
    State state;
    unsigned block_barriers, warp_barriers;    // passed so far
    dim3 index;
    Meeting meeting;                           // while WAITING
    uint64_t answer;
};
std::vector<Thread> threads;                   // of the block that runs
Thread* current = nullptr;                     // null: the scheduler itself, or the host's code
void (*kernel_run)(const void*);
const void* kernel_body;
const char* kernel_name = "";
size_t dynamic_bytes;
long launches = 0;
cudaError_t last_error = cudaSuccess;
std::string refused_kernel;

// the scheduler's own stack and context
void *main_stack_pointer, *main_asan_stack, *main_tsan_fiber;
const void* main_stack;
size_t main_stack_size;
// Addresses that stand for what orders memory accesses, for ThreadSanitizer: a launch's begin and end, barriers.  A
// barrier orders nothing between blocks, so each block has its own: the last for all its threads, the others a warp's.
// Two of each, taken in turn: a thread that comes out of a barrier has seen nothing of those that wait at the next.
struct Barriers { char place[WARP + 1][2]; };
char launch_begins, launch_ends;
Barriers all_barriers[4096], *barriers;

extern "C" void emulation_switch(void** from, void* to);
asm(R"(
.text
.globl emulation_switch
emulation_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");

void to_scheduler(bool for_good) {
    Thread* me = current;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(for_good ? nullptr : &me->asan_stack, main_stack, main_stack_size);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(main_tsan_fiber, 1);   // 1: a switch orders nothing
    emulation_switch(&me->stack_pointer, main_stack_pointer);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(me->asan_stack, nullptr, nullptr);
}

void to_thread(Thread& t) {
    current = &t;
    threadIdx = t.index;
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&main_asan_stack, t.stack, STACK);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(t.tsan_fiber, 1);
    emulation_switch(&main_stack_pointer, t.stack_pointer);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(main_asan_stack, nullptr, nullptr);
    current = nullptr;
}

void thread_main() {
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_size);
    if (__tsan_acquire) __tsan_acquire(&launch_begins);
    kernel_run(kernel_body);
    if (__tsan_release) __tsan_release(&launch_ends);
    current->state = DONE;
    to_scheduler(true);
    abort();
}

// ---- a block ------------------------------------------------------------------------------------------------------

char* stack_of(size_t number) {
    static std::vector<char*> stacks;
    while (stacks.size() <= number) {
        char* map = (char*)mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) abort();
        mprotect(map, PAGE, PROT_NONE);
        stacks.push_back(map + PAGE);
    }
    return stacks[number];
}

void* tsan_fiber_of(size_t number) {
    static std::vector<void*> made;
    while (made.size() <= number) made.push_back(__tsan_create_fiber(0));
    return made[number];
}

// running: which block of the launch this is, in the order of the run.  ThreadSanitizer's contexts are dear, so every
// third block gets the same ones, and with them their stacks: a race between two blocks is seen in two cases of three.
void begin_block(uint64_t running) {
    barriers = &all_barriers[running % 4096];
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    threads.assign(count, Thread());
    for (unsigned i = 0; i < count; i++) {
        Thread& t = threads[i];
        t.index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
        size_t number = __tsan_create_fiber ? running % 3 * count + i : i;
        t.stack = stack_of(number);
        void** top = (void**)(t.stack + STACK - 16);
        *--top = nullptr;                      // where thread_main would return to
        *--top = (void*)thread_main;
        for (int saved = 0; saved < 6; saved++) *--top = nullptr;
        t.stack_pointer = top;
        if (__tsan_create_fiber) t.tsan_fiber = tsan_fiber_of(number);
    }
}

// The lane of the warp that begins at thread `first` whose value lane `lane` gets.
unsigned source_lane(const Meeting& m, unsigned lane) {
    unsigned low = lane / m.width * m.width, end = low + m.width, by = m.argument;
    switch (m.kind) {
        case SHUFFLE: return low + (by & (m.width - 1));
        case SHUFFLE_UP: return lane < low + by ? lane : lane - by;
        case SHUFFLE_DOWN: return lane + by >= end ? lane : lane + by;
        case SHUFFLE_XOR: return (lane ^ by) >= end ? lane : lane ^ by;
        default: return lane;
    }
}

// Lets the lanes of one warp go on that wait for one another and are complete; whether there were any.
bool release_warp(unsigned warp) {
    unsigned first = warp * WARP, count = std::min<size_t>(WARP, threads.size() - first);
    Thread* lanes = threads.data() + first;
    for (unsigned one = 0; one < count; one++) {
        const Meeting m = lanes[one].meeting;
        if (lanes[one].state != WAITING || m.kind == BLOCK_BARRIER) continue;
        unsigned here = 0, ballot = 0;
        bool complete = true;
        for (unsigned i = 0; i < count; i++) {
            if (!(m.mask >> i & 1) || lanes[i].state == DONE) continue;
            complete = complete && lanes[i].state == WAITING && lanes[i].meeting.same(m);
            here |= 1u << i;
            if (lanes[i].meeting.value) ballot |= 1u << i;
        }
        if (!complete) continue;
        if (!(m.mask >> one & 1)) complain("%s: line %d: a lane outside its own mask", kernel_name, m.line);
        here |= 1u << one;
        for (unsigned i = 0; i < count; i++) {
            if (!(here >> i & 1)) continue;
            unsigned from = source_lane(lanes[i].meeting, i);
            bool there = here >> from & 1;
            if (!there)
                complain("%s: line %d: lane %u reads lane %u, which takes no part", kernel_name, m.line, i, from);
            lanes[i].answer = m.kind == BALLOT ? ballot : there ? lanes[from].meeting.value : ~0ull;
        }
        for (unsigned i = 0; i < count; i++)
            if (here >> i & 1) lanes[i].state = READY;
        return true;
    }
    return false;
}

bool release_warps() {
    bool any = false;
    for (unsigned w = 0; w * WARP < threads.size(); w++) any |= release_warp(w);
    return any;
}

// Lets all threads go on where all wait at the block's barrier; whether they do.
bool release_block() {
    const Thread* one = nullptr;
    bool returned = false;
    for (const Thread& t : threads) {
        if (t.state == DONE) { returned = true; continue; }
        if (t.meeting.kind != BLOCK_BARRIER) return false;
        if (one && one->meeting.line != t.meeting.line)
            complain("%s: threads of a block wait at different barriers, lines %d and %d", kernel_name,
                     one->meeting.line, t.meeting.line);
        one = &t;
    }
    if (!one) return false;
    if (returned)
        complain("%s: line %d: a barrier after threads of the block have returned", kernel_name, one->meeting.line);
    for (Thread& t : threads)
        if (t.state == WAITING) t.state = READY;
    return true;
}

// Even seeds: threads in any order.  Odd seeds: one warp runs ahead as far as it can, to the block's barrier or to its
// end, before another begins.
void run_block(std::mt19937& random) {
    std::vector<size_t> turns;
    const bool by_warp = order > 1 && order % 2;
    size_t ahead = 0;
    while (true) {
        turns.clear();
        for (size_t i = 0; i < threads.size(); i++)
            if (threads[i].state == READY) turns.push_back(i);
        if (turns.empty()) {
            if (release_warps() || release_block()) continue;
            if (std::any_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == WAITING; }))
                complain("%s: deadlock in block (%u, %u, %u)", kernel_name, blockIdx.x, blockIdx.y, blockIdx.z);
            return;
        }
        if (by_warp) {
            auto others = [&](size_t t) { return t / WARP != ahead; };
            if (std::all_of(turns.begin(), turns.end(), others)) {
                if (release_warp(ahead)) continue;
                ahead = turns[random() % turns.size()] / WARP;
            }
            turns.erase(std::remove_if(turns.begin(), turns.end(), others), turns.end());
        }
        size_t most = turns.size();
        if (order == 1) std::reverse(turns.begin(), turns.end());
        if (order > 1) {
            std::shuffle(turns.begin(), turns.end(), random);
            if (random() % 2) most = 1 + random() % most;
        }
        for (size_t i = 0; i < most; i++) {
            to_thread(threads[turns[i]]);
            // warps advance by themselves: one that is complete may go on before others have begun
            if (order > 1 && random() % 4 == 0) release_warp(turns[i] / WARP);
        }
    }
}

// ---- shared memory ------------------------------------------------------------------------------------------------

struct Shared {
    const char* name;
    Memory memory;
    bool fresh;                                // not yet used by the block that runs
};
Shared shared_memory[16];                      // no container: sanitizers watch what those allocate
int shared_count;
char *arena, *arena_end;                       // under ThreadSanitizer

// Under ThreadSanitizer every block gets its own: one block's accesses would seem to race with another's.
char* from_arena(size_t bytes) {
    char* p = arena;
    arena += (bytes + 63) / 64 * 64 + 64;
    if (arena > arena_end) abort();
    return p;
}

void begin_arena() {
    const size_t size = 256 << 20;
    if (arena_end - arena > (long)(size / 2)) return;
    arena = (char*)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) abort();
    arena_end = arena + size;
}

// ---- launches -----------------------------------------------------------------------------------------------------

// The limits of every GPU since compute capability 3.0 (CUDA C++ Programming Guide, technical specifications); more
// dynamic shared memory than 48 KiB has to be asked for, which nothing here does.
bool allowed(const Configuration& how) {
    uint64_t block = (uint64_t)how.block.x * how.block.y * how.block.z;
    return how.grid.x && how.grid.y && how.grid.z && block && how.grid.x <= 2147483647u && how.grid.y <= 65535 &&
           how.grid.z <= 65535 && block <= 1024 && how.block.z <= 64 && how.shared <= (48 << 10);
}

// The place of the i-th block in this run's order.
uint64_t block_at(uint64_t i, uint64_t blocks) {
    if (order == 0 || blocks < 2) return i;
    if (order == 1) return blocks - 1 - i;
    uint64_t step = 7919;                      // prime: unless it divides the number, steps reach every block
    while (blocks % step == 0) step += 2;
    return (i * step + (uint64_t)order) % blocks;
}
}

uint64_t meet(const Meeting& meeting) {
    Thread* me = current;
    me->meeting = meeting;
    me->state = WAITING;
    // barriers order memory accesses, shuffles do not
    void* barrier = nullptr;
    if (meeting.kind == BLOCK_BARRIER) barrier = &barriers->place[WARP][me->block_barriers++ % 2];
    if (meeting.kind == WARP_BARRIER) barrier = &barriers->place[(me - threads.data()) / WARP][me->warp_barriers++ % 2];
    if (barrier && __tsan_release) __tsan_release(barrier);
    to_scheduler(false);
    if (barrier && __tsan_acquire) __tsan_acquire(barrier);
    return me->answer;
}

void* shared(const char* name, size_t bytes) {
    if (!bytes) bytes = dynamic_bytes;
    int i = 0;
    while (i < shared_count && strcmp(shared_memory[i].name, name)) i++;
    if (i == 16) abort();
    Shared& s = shared_memory[i];
    if (i == shared_count) {
        s = {name, {"", nullptr, bytes, nullptr, 0}, true};
        if (!__tsan_switch_to_fiber) s.memory = allocate(std::string("shared ") + name, bytes);
        shared_count++;
    }
    if (s.fresh) {
        if (__tsan_switch_to_fiber) s.memory.data = from_arena(bytes);
        fill(s.memory.data, GARBAGE, bytes);
        s.fresh = false;
    }
    return s.memory.data;
}

void launch(const char* kernel, const Configuration& how, void (*run)(const void*), const void* body) {
    kernel_name = kernel;
    kernel_run = run;
    kernel_body = body;
    if (++launches == refused_launch || !allowed(how)) {
        last_error = allowed(how) ? cudaErrorNoKernelImageForDevice : cudaErrorInvalidConfiguration;
        refused_kernel = kernel;
        return;
    }
    gridDim = how.grid;
    blockDim = how.block;
    dynamic_bytes = how.shared;
    std::mt19937 random(order);
    if (__tsan_release) {
        main_tsan_fiber = __tsan_get_current_fiber();
        begin_arena();
        __tsan_release(&launch_begins);        // what the host and earlier launches did is seen by this one
    }
    uint64_t blocks = (uint64_t)how.grid.x * how.grid.y * how.grid.z;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = block_at(i, blocks);
        blockIdx = dim3(b % how.grid.x, b / how.grid.x % how.grid.y, b / how.grid.x / how.grid.y);
        for (int s = 0; s < shared_count; s++) shared_memory[s].fresh = true;
        begin_block(i);
        run_block(random);
    }
    for (int s = 0; s < shared_count; s++)
        if (!__tsan_switch_to_fiber) release(shared_memory[s].memory);
    shared_count = 0;
    if (__tsan_acquire) __tsan_acquire(&launch_ends);
}

bool take_error(std::string* kernel) {
    *kernel = refused_kernel;
    return cudaGetLastError() != cudaSuccess;
}

// ---- complaints ---------------------------------------------------------------------------------------------------

void complain(const char* format, ...) {
    if (faults++ >= MOST_SAID) return;
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

std::string where() {
    if (!current) return "the host's code";
    char text[200];
    snprintf(text, sizeof text, "%s, block (%u, %u, %u), thread (%u, %u, %u)", kernel_name, blockIdx.x, blockIdx.y,
             blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    return text;
}

// ---- memory -------------------------------------------------------------------------------------------------------

namespace { std::vector<Memory> in_use; }

void fill(void* p, int byte, size_t count) {
    for (volatile char* c = (char*)p; count--; ) *c++ = (char)byte;
}

Memory allocate(const std::string& name, size_t bytes) {
    Memory m = {name, nullptr, bytes, nullptr, 0};
    if (__asan_init) m.data = (char*)malloc(bytes);
    else {
        // flush with the page after it, as far as vector loads' 16 bytes allow
        size_t room = (bytes + 15) / 16 * 16;
        m.mapped = (room + PAGE - 1) / PAGE * PAGE + 2 * PAGE;
        m.map = (char*)mmap(nullptr, m.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (m.map == MAP_FAILED) abort();
        m.data = m.map + m.mapped - PAGE - room;
        fill(m.map + PAGE, MARGIN, m.mapped - 2 * PAGE);
        mprotect(m.map, PAGE, PROT_NONE);
        mprotect(m.map + m.mapped - PAGE, PAGE, PROT_NONE);
    }
    fill(m.data, GARBAGE, bytes);
    in_use.push_back(m);
    return m;
}

std::string whose(const void* address) {
    const char* at = (const char*)address;
    for (const Memory& m : in_use)
        if (m.map && at >= m.map && at < m.map + m.mapped)
            return m.name + ", byte " + std::to_string(at - m.data) + " of " + std::to_string(m.bytes);
    return "an address that is nobody's";
}

void protect(const Memory& m) {
    if (m.map) mprotect(m.map + PAGE, m.mapped - 2 * PAGE, PROT_READ);
}

void release(const Memory& m) {
    in_use.erase(std::find_if(in_use.begin(), in_use.end(), [&](const Memory& o) { return o.data == m.data; }));
    if (!m.map) {
        free(m.data);
        return;
    }
    for (const char* c = m.map + PAGE; c < m.map + m.mapped - PAGE; c++)
        if ((c < m.data || c >= m.data + m.bytes) && *c != (char)MARGIN) {
            complain("%s: something was written %ld bytes from its start, and it has %zu", m.name.c_str(),
                     (long)(c - m.data), m.bytes);
            break;
        }
    munmap(m.map, m.mapped);
}
}

cudaError_t cudaGetLastError() {
    cudaError_t error = emulation::last_error;
    emulation::last_error = cudaSuccess;
    return error;
}

const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaSuccess ? "no error" : error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
         : "no kernel image is available for execution on the device";
}
