// Learns from a log of traces, and says what was proved. Usage: example_fit TRACES.jsonl FOLDER [ALPHA]
#include <tracer/fit.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: example_fit TRACES.jsonl FOLDER [ALPHA]\n", stderr);
    return 2;
  }
  tracer::Events events;
  events.note = [](std::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  events.warn = events.note;

  auto device = tracer::open_device({});
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", device.status().message().c_str());
    return 1;
  }
  tracer::LogSource log;
  log.rows.traces = argv[1];  // vectors beside it (TRACES.npy) are used, else its text is embedded
  tracer::FitRequest request;
  if (argc > 3) request.alpha = std::atof(argv[3]);

  const auto report = tracer::fit_policy(*device, log, request, argv[2], events);
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.status().message().c_str());
    return 1;
  }
  for (const tracer::TargetReport& target : report->targets)
    std::printf("alpha %.2f: %s, coverage %.3f\n", target.alpha, target.certified ? "certified" : "refused",
                target.coverage.value_or(0));
  return report->certified ? 0 : 3;
}
