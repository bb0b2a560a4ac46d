#include "engine/learn/gradient_boosting.h"

#include <dlfcn.h>
#include <xgboost/c_api.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "engine/policy/trees.h"

namespace tracer {
namespace {

// What is called of XGBoost's C interface. The types are its header's; the functions are found in the library once it
// is open.
struct Library {
  decltype(&XGBGetLastError) last_error = nullptr;
  decltype(&XGDMatrixCreateFromMat) matrix = nullptr;
  decltype(&XGDMatrixSetFloatInfo) matrix_info = nullptr;
  decltype(&XGDMatrixFree) matrix_free = nullptr;
  decltype(&XGBoosterCreate) booster = nullptr;
  decltype(&XGBoosterFree) booster_free = nullptr;
  decltype(&XGBoosterSetParam) parameter = nullptr;
  decltype(&XGBoosterUpdateOneIter) update = nullptr;
  decltype(&XGBoosterPredictFromDMatrix) predict = nullptr;
  decltype(&XGBoosterDumpModelEx) dump = nullptr;
  Status status;
};

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  return function != nullptr;
}

Library open_library() {
  Library l;
  void* opened = nullptr;
  std::string said;
  const char* named = std::getenv("TRACER_XGBOOST");
  const bool given = named != nullptr && *named != '\0';
  for (const char* file : {given ? named : "libxgboost.so.0", given ? nullptr : "libxgboost.so"}) {
    if (file == nullptr || opened != nullptr) continue;
    opened = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr && said.empty()) said = ::dlerror();
  }
  if (opened == nullptr) {
    l.status =
        device_error("the member gbt needs XGBoost (Debian: libxgboost0; TRACER_XGBOOST names its library): " + said);
    return l;
  }
  if (!find(opened, "XGBGetLastError", l.last_error) || !find(opened, "XGDMatrixCreateFromMat", l.matrix) ||
      !find(opened, "XGDMatrixSetFloatInfo", l.matrix_info) || !find(opened, "XGDMatrixFree", l.matrix_free) ||
      !find(opened, "XGBoosterCreate", l.booster) || !find(opened, "XGBoosterFree", l.booster_free) ||
      !find(opened, "XGBoosterSetParam", l.parameter) || !find(opened, "XGBoosterUpdateOneIter", l.update) ||
      !find(opened, "XGBoosterPredictFromDMatrix", l.predict) || !find(opened, "XGBoosterDumpModelEx", l.dump))
    l.status = device_error("the member gbt needs XGBoost 1.7 or later: " + std::string(::dlerror()));
  return l;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

Status failed(const char* doing) {
  const std::string said = library().last_error();
  if (said.find("bad_alloc") != std::string::npos) return out_of_memory(std::string("XGBoost, ") + doing);
  return internal_error(std::string("XGBoost, ") + doing + ": " + said.substr(0, said.find('\n')));
}

// Shallow trees on few of the features each: with 384 features and a label's few rows deeper ones only overfit.
constexpr std::pair<const char*, const char*> kParameters[] = {{"objective", "multi:softprob"},
                                                               {"tree_method", "hist"},
                                                               {"nthread", "1"},
                                                               {"verbosity", "0"},
                                                               {"max_depth", "4"},
                                                               {"max_bin", "64"},
                                                               {"eta", "0.2"},
                                                               {"colsample_bytree", "0.25"},
                                                               {"min_child_weight", "1"},
                                                               {"lambda", "1"},
                                                               {"base_score", "0.5"}};

// Takes what the text of a dumped tree begins with.
struct Cursor {
  std::string_view rest;
  bool word(std::string_view w) {
    if (!rest.starts_with(w)) return false;
    rest.remove_prefix(w.size());
    return true;
  }
  template <class T>
  bool number(T& out) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (error != std::errc()) return false;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    return true;
  }
};

// Lines "0:[f12<0.25] yes=1,no=2,missing=1" and "1:leaf=0.5", nodes in any order.
bool read_tree(std::string_view text, Trees& trees) {
  const size_t first = trees.feature.size();
  trees.root.push_back(static_cast<int64_t>(first));
  std::vector<uint8_t> seen;
  Cursor at{text};
  while (!at.rest.empty()) {
    while (at.word("\t") || at.word(" ")) continue;
    if (at.word("\n")) continue;
    size_t node = 0;
    if (!at.number(node) || node > (size_t{1} << 20) || !at.word(":")) return false;
    const size_t to = first + node;
    if (trees.feature.size() <= to) {
      trees.feature.resize(to + 1, -1), trees.value.resize(to + 1, 0.0f);
      trees.left.resize(to + 1, 0), trees.right.resize(to + 1, 0);
      seen.resize(node + 1, 0);
    }
    if (std::exchange(seen[node], uint8_t{1})) return false;
    if (at.word("leaf=")) {
      if (!at.number(trees.value[to])) return false;
      continue;
    }
    size_t yes = 0, no = 0, missing = 0;
    if (!at.word("[f") || !at.number(trees.feature[to]) || !at.word("<") || !at.number(trees.value[to]) ||
        !at.word("] yes=") || !at.number(yes) || !at.word(",no=") || !at.number(no) || !at.word(",missing=") ||
        !at.number(missing))
      return false;
    trees.left[to] = static_cast<int32_t>(first + yes), trees.right[to] = static_cast<int32_t>(first + no);
  }
  return !seen.empty() && seen[0];
}

}  // namespace

Status open_xgboost() { return library().status; }

struct TreeTrainer::State {
  DMatrixHandle rows = nullptr, held_out = nullptr;
  BoosterHandle booster = nullptr;
  int64_t classes = 0, dimension = 0, held_out_rows = 0;
  int rounds = 0;
  ~State() {
    if (booster != nullptr) library().booster_free(booster);
    if (held_out != nullptr) library().matrix_free(held_out);
    if (rows != nullptr) library().matrix_free(rows);
  }
};

TreeTrainer::TreeTrainer(std::unique_ptr<State> state) : state_(std::move(state)) {}
TreeTrainer::~TreeTrainer() = default;

Result<std::unique_ptr<TreeTrainer>> TreeTrainer::create(HostMatrix<const float> x, std::span<const int32_t> label,
                                                         HostMatrix<const float> held_out, int64_t classes,
                                                         uint64_t seed) {
  const Library& l = library();
  if (!l.status.ok()) return l.status;
  auto state = std::make_unique<State>();
  state->classes = classes, state->dimension = x.cols, state->held_out_rows = held_out.rows;
  const auto matrix = [&](HostMatrix<const float> m, DMatrixHandle* out) {
    constexpr float kMissing = -1e30f;  // no coordinate of a unit row
    return l.matrix(m.data, static_cast<bst_ulong>(m.rows), static_cast<bst_ulong>(m.cols), kMissing, out) == 0;
  };
  if (x.stride != x.cols || held_out.stride != held_out.cols) return internal_error("trees: rows that are not dense");
  const std::vector<float> labels(label.begin(), label.end());
  if (!matrix(x, &state->rows) || l.matrix_info(state->rows, "label", labels.data(), labels.size()) != 0)
    return failed("reading rows");
  std::vector<DMatrixHandle> cached = {state->rows};
  if (held_out.rows > 0) {
    if (!matrix(held_out, &state->held_out)) return failed("reading rows");
    cached.push_back(state->held_out);
  }
  if (l.booster(cached.data(), cached.size(), &state->booster) != 0) return failed("starting");
  bool set = l.parameter(state->booster, "num_class", std::to_string(classes).c_str()) == 0 &&
             l.parameter(state->booster, "seed", std::to_string(seed % (uint64_t{1} << 31)).c_str()) == 0;
  for (const auto& [name, value] : kParameters) set = set && l.parameter(state->booster, name, value) == 0;
  if (!set) return failed("taking parameters");
  return std::unique_ptr<TreeTrainer>(new TreeTrainer(std::move(state)));
}

Status TreeTrainer::round() {
  if (library().update(state_->booster, state_->rounds, state_->rows) != 0) return failed("a round");
  ++state_->rounds;
  return {};
}

Result<std::span<const float>> TreeTrainer::held_out_probability() {
  if (state_->held_out == nullptr) return std::span<const float>();
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  constexpr char kConfig[] =
      R"({"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": true})";
  if (library().predict(state_->booster, state_->held_out, kConfig, &shape, &dimensions, &result) != 0)
    return failed("predicting");
  uint64_t size = 1;
  for (uint64_t i = 0; i < dimensions; ++i) size *= shape[i];
  if (size != static_cast<uint64_t>(state_->held_out_rows * state_->classes))
    return internal_error("XGBoost, predicting: an answer of another shape");
  return std::span<const float>(result, size);
}

Result<Trees> TreeTrainer::trees() const {
  bst_ulong count = 0;
  const char** text = nullptr;
  if (library().dump(state_->booster, "", 0, "text", &count, &text) != 0) return failed("giving its trees");
  Trees trees;
  for (uint64_t t = 0; t < count; ++t)
    if (!read_tree(text[t], trees))
      return internal_error("XGBoost, giving its trees: of another format: " + std::string(text[t]).substr(0, 60));
  if (const std::string problem = trees_problem(trees, state_->dimension, state_->classes); !problem.empty())
    return internal_error("XGBoost, giving its trees: expected " + problem);
  return trees;
}

}  // namespace tracer
