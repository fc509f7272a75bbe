// cuDNN 9 no longer has the recurrent-network calls of cuDNN 7 that Jittor 1.3's RNN operator names, and that operator is
// compiled together with the convolutions.  These answer "not supported": the file compiles, and a program that does use
// a recurrent network on the GPU gets Jittor's error for that status.
#pragma once
#if defined(__cplusplus) && defined(CUDNN_MAJOR) && CUDNN_MAJOR >= 9
#define JT_DFD_NO_RNN(call) \
    template <class... Arguments> inline cudnnStatus_t call(Arguments&&...) { return CUDNN_STATUS_NOT_SUPPORTED; }
JT_DFD_NO_RNN(cudnnSetRNNDescriptor_v6)
JT_DFD_NO_RNN(cudnnGetRNNParamsSize)
JT_DFD_NO_RNN(cudnnGetRNNWorkspaceSize)
JT_DFD_NO_RNN(cudnnGetRNNTrainingReserveSize)
JT_DFD_NO_RNN(cudnnGetRNNLinLayerMatrixParams)
JT_DFD_NO_RNN(cudnnGetRNNLinLayerBiasParams)
JT_DFD_NO_RNN(cudnnRNNForwardTraining)
JT_DFD_NO_RNN(cudnnRNNForwardInference)
JT_DFD_NO_RNN(cudnnRNNBackwardData)
JT_DFD_NO_RNN(cudnnRNNBackwardWeights)
#undef JT_DFD_NO_RNN
#endif
