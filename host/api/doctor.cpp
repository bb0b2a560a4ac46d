#include "host/api/doctor.h"

#include <string>

#include "engine/learn/gradient_boosting.h"
#include "host/artifact/artifact.h"
#include "host/encoder/encoder.h"
#include "host/encoder/encoder_folder.h"
#include "host/io/json_format.h"
#include "kernels/backend.h"
#include "kernels/cpu/tiles.h"
#include "tracer_version.h"

namespace tracer {
namespace {

// The instruction sets that matter here and that this processor has.
Json cpu_features() {
  Json features = Json::array();
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) features.push_back("avx2");
  if (__builtin_cpu_supports("fma")) features.push_back("fma");
  if (__builtin_cpu_supports("avx512f")) features.push_back("avx512f");
  if (__builtin_cpu_supports("avx512vnni")) features.push_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) features.push_back("avx512_bf16");
  if (tiles_may_be_used(TileProducts::kInt8)) features.push_back("amx_int8");
#endif
  return features;
}

// {"name", ...} of everything but the device chosen.
Json parts() {
  Json report;
  report["version"] = TRACER_VERSION;
  report["git"] = TRACER_GIT_SHA;
  report["cuda_archs"] = TRACER_CUDA_ARCHS_TEXT;
  report["cpu_features"] = cpu_features();
  report["backends"] = Json::array();
  for (const BackendInfo& b : list_backends())
    report["backends"].push_back({{"name", b.name}, {"usable", b.usable}, {"detail", b.detail}});
  const auto torch = open_transformer_module();
  report["libtorch"] = {{"usable", torch.ok()},
                        {"detail", torch.ok() ? std::string((*torch)->version()) : torch.status().message()}};
  const Status on_cuda = torch.ok() ? (*torch)->open_cuda(0) : torch.status();
  report["libtorch_cuda"] = {{"usable", on_cuda.ok()}, {"detail", on_cuda.ok() ? "device 0" : on_cuda.message()}};
  const Status xgboost = open_xgboost();
  report["xgboost"] = {{"usable", xgboost.ok()}, {"detail", xgboost.ok() ? "member gbt" : xgboost.message()}};
  const std::string model = default_encoder_folder();
  const auto encoder = read_encoder_folder(model);
  report["encoder"] = {{"usable", encoder.ok()},
                       {"path", model},
                       {"detail", encoder.ok() ? "digest " + encoder->digest.substr(0, 12) + ", dimension " +
                                                     std::to_string(encoder->shape.hidden) + ", at most " +
                                                     std::to_string(encoder->max_tokens) + " tokens"
                                               : encoder.status().message()}};
  return report;
}

std::string in_words(const Json& report, const Result<Device>& chosen) {
  std::string text =
      "tracer " + report["version"].get<std::string>() + " (git " + report["git"].get<std::string>() + ")\nCPU:";
  for (const Json& f : report["cpu_features"]) text += " " + f.get<std::string>();
  text += "\n";
  for (const Json& b : report["backends"])
    text += b["name"].get<std::string>() + ": " + (b["usable"].get<bool>() ? "usable: " : "not usable: ") +
            b["detail"].get<std::string>() + "\n";
  for (const char* name : {"libtorch", "libtorch_cuda", "encoder", "xgboost"})
    text += std::string(name) + ": " + (report[name]["usable"].get<bool>() ? "usable: " : "not usable: ") +
            report[name]["detail"].get<std::string>() + "\n";
  if (chosen.ok())
    text +=
        "chosen: " + chosen->name() + ", " + chosen->isa() + ", " + std::to_string(chosen->threads()) + " threads\n";
  else
    text += "chosen: none: " + chosen.status().message() + "\n";
  return text;
}

}  // namespace

Diagnosis diagnose(const DeviceOptions& options) {
  Json report = parts();
  const auto chosen = open_device(options);
  if (chosen.ok())
    report["chosen"] = {{"backend", chosen->name()}, {"isa", chosen->isa()}, {"threads", chosen->threads()}};
  else
    report["chosen"] = {{"backend", nullptr}, {"error", chosen.status().message()}};
  return {chosen.ok(), {json_text(report), in_words(report, chosen)}};
}

}  // namespace tracer
