// Declarations, in the words of tensorflow/lite/schema/schema_generated.h; for tests that only compile.
#pragma once
#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

class Model {
 public:
  uint32_t version() const;
};

const Model* GetModel(const void* buffer);

}  // namespace tflite
