#include "engine/learn/gradient_boosting.h"
#include "host/cli/command.h"
#include "host/cli/flags.h"
#include "host/encoder/encoder.h"
#include "host/encoder/encoder_folder.h"
#include "kernels/cpu/tiles.h"
#include "tracer_version.h"

namespace tracer::cli {
namespace {

struct DoctorCommand {
  Common common;
  int run() const;
};

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

int DoctorCommand::run() const {
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
  auto backend = open_backend(common);
  if (backend.ok())
    report["chosen"] = {
        {"backend", (*backend)->name()}, {"isa", (*backend)->isa()}, {"threads", (*backend)->threads()}};
  else
    report["chosen"] = {{"backend", nullptr}, {"error", backend.status().message()}};
  const int code = backend.ok() ? kExitOk : kExitRuntime;
  if (common.console.json) return common.console.print_json(report, code);

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
  if (backend.ok())
    text += "chosen: " + std::string((*backend)->name()) + ", " + std::string((*backend)->isa()) + ", " +
            std::to_string((*backend)->threads()) + " threads\n";
  else
    text += "chosen: none: " + backend.status().message() + "\n";
  return common.console.print(text) ? code : kExitRuntime;
}

}  // namespace

void add_doctor(Flags& app, int& exit_code) {
  auto command = std::make_shared<DoctorCommand>();
  Flags* sub = app.add_subcommand("doctor", "what this machine offers, and what is missing");
  add_common(*sub, command->common, true);
  sub->callback([command, &exit_code] { exit_code = command->run(); });
}

}  // namespace tracer::cli
