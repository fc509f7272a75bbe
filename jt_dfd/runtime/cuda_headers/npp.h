// In place of NPP's own header where NPP is not installed.  Jittor takes nothing from it but the ends of these ranges.
#pragma once
#include <stdint.h>
#define NPP_MIN_32U 0
#define NPP_MAX_32U UINT32_MAX
#define NPP_MIN_32S INT32_MIN
#define NPP_MAX_32S INT32_MAX
#define NPP_MIN_64U 0
#define NPP_MAX_64U UINT64_MAX
#define NPP_MIN_64S INT64_MIN
#define NPP_MAX_64S INT64_MAX
