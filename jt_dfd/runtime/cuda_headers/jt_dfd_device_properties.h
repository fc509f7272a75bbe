// CUDA 13 took two fields out of cudaDeviceProp that a helper of Jittor 1.3 reads.  They come back here in a struct on
// top of the real one, both 0: compute mode "default", clock unknown.
#pragma once
#if defined(__cplusplus) && defined(CUDART_VERSION) && CUDART_VERSION >= 13000
struct jt_dfd_device_properties : public cudaDeviceProp {
    int computeMode = 0;
    int clockRate = 0;
};
#define cudaDeviceProp jt_dfd_device_properties
#endif
