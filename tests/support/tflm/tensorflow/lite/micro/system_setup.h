// Declaration, in the words of tensorflow/lite/micro/system_setup.h; for tests that only compile.
#pragma once

namespace tflite {
void InitializeTarget();
}  // namespace tflite
