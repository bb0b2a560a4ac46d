// Any bytes as a safetensors file: refused, or the tensors cover the data exactly and writing them again keeps them.
#include <cstring>

#include "host/io/safetensors.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tracer;
  // Half of the inputs are a header whose length is filled in here: the fuzzer need not guess eight bytes.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size % 2 == 0) {
    size_t n = bytes.rfind('}') + 1;  // npos + 1 is 0
    std::string length(8, '\0');
    std::memcpy(length.data(), &n, 8);
    bytes = length + bytes;
  }
  Result<io::SafetensorsFile> file = io::SafetensorsFile::from_memory(bytes, "fuzz");
  if (!file.ok()) {
    check(file.status().code() == ErrorCode::kBadInput && !file.status().message().empty());
    return 0;
  }
  uint64_t header;
  std::memcpy(&header, bytes.data(), 8);
  size_t total = 0;
  io::SafetensorsWriter writer;
  bool writable = true;
  for (const auto& [name, view] : file->tensors()) {
    total += view.data.size();
    writable = writable && !name.empty();
    writer.add_bytes(name, view.type, view.shape, view.data);
  }
  check(total + 8 + header == bytes.size());
  if (!writable) return 0;
  for (const auto& [key, value] : file->metadata()) writer.set_metadata(key, value);
  Result<std::string> again = writer.serialize();
  check(again.ok());
  Result<io::SafetensorsFile> copy = io::SafetensorsFile::from_memory(*again, "again");
  check(copy.ok() && copy->tensors().size() == file->tensors().size() && copy->metadata() == file->metadata());
  for (const auto& [name, view] : file->tensors()) {
    const io::TensorView& other = copy->tensors().at(name);
    check(other.type == view.type && other.shape == view.shape && other.data.size() == view.data.size());
    check(view.data.empty() || std::memcmp(other.data.data(), view.data.data(), view.data.size()) == 0);
  }
  return 0;
}
