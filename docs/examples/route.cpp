// Answers the texts of standard input, a line each. Usage: example_route FOLDER < TEXTS
#include <tracer/router.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: example_route FOLDER < TEXTS\n", stderr);
    return 2;
  }
  auto device = tracer::open_device({});
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", device.status().message().c_str());
    return 1;
  }
  auto router = tracer::Router::open(std::move(*device), argv[1], {}, {});
  if (!router.ok()) {
    std::fprintf(stderr, "%s\n", router.status().message().c_str());
    return 1;
  }
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) texts.push_back(line);

  const auto rows = router->route(texts);
  if (!rows.ok()) {
    std::fprintf(stderr, "%s\n", rows.status().message().c_str());
    return 1;
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const tracer::Routed& row = (*rows)[i];
    std::printf("%s\t%.4f\t%s\n", row.handled ? router->labels()[row.label].c_str() : "ask the LLM", row.score,
                texts[i].c_str());
  }
  return 0;
}
