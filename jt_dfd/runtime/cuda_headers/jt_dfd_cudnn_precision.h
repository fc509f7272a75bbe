// What cuDNN's convolutions compute with, where Jittor 1.3 leaves it open or asks for too little.
//
// float16 (and bfloat16) tensors: Jittor asks for sums in the tensors' own type.  In float16 those lose digits over the
// thousands of terms of a wide layer, and in bfloat16 cuDNN refuses.  Here they become float32 sums on tensor cores, as
// in other frameworks.  cuDNN's guide lists every forward algorithm that float32 has for float16 with float32 sums too,
// and not for float16 sums; that matters because Jittor remembers the algorithm by shape alone, for all types.
//
// float32 tensors: cuDNN's default allows TF32 (10 bits of mantissa) from compute capability 8.0 on, and Jittor has no
// switch to forbid it; its flag use_tensorcore = 1, 2, 3 allows float16 products instead.  Below zero, to which Jittor
// gives no meaning of its own, the flag now means float32 throughout.  It is read at every call.
#pragma once
#if defined(__cplusplus) && defined(CUDNN_MAJOR) && CUDNN_MAJOR >= 8
namespace jittor { extern int use_tensorcore; }
namespace jt_dfd_cudnn {
// whether the descriptor set last is of 16-bit tensors; Jittor sets one at a time and uses it at once
inline bool& narrow() { static thread_local bool is = false; return is; }

inline cudnnStatus_t describe(cudnnConvolutionDescriptor_t descriptor, int dimensions, const int* padding,
                              const int* stride, const int* dilation, cudnnConvolutionMode_t mode,
                              cudnnDataType_t type) {
    narrow() = type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16;
    cudnnStatus_t status = cudnnSetConvolutionNdDescriptor(descriptor, dimensions, padding, stride, dilation, mode,
                                                           narrow() ? CUDNN_DATA_FLOAT : type);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (narrow()) return cudnnSetConvolutionMathType(descriptor, CUDNN_TENSOR_OP_MATH);
    if (jittor::use_tensorcore < 0) return cudnnSetConvolutionMathType(descriptor, CUDNN_FMA_MATH);
    return status;
}

inline cudnnStatus_t allow(cudnnConvolutionDescriptor_t descriptor, cudnnMathType_t math) {
    // Jittor takes any use_tensorcore but 0 for a wish to convert
    if (jittor::use_tensorcore < 0 && !narrow()) return CUDNN_STATUS_SUCCESS;
    return cudnnSetConvolutionMathType(descriptor, math);
}
}  // namespace jt_dfd_cudnn
#define cudnnSetConvolutionNdDescriptor jt_dfd_cudnn::describe
#define cudnnSetConvolutionMathType jt_dfd_cudnn::allow
#endif
