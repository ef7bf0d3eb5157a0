// Declaration, in the words of tensorflow/lite/micro/micro_log.h; for tests that only compile.
#pragma once

void MicroPrintf(const char* format, ...);
