#include "host/report/map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/maths/principal_components.h"
#include "engine/maths/random.h"
#include "engine/study/neighbour_map.h"
#include "host/io/excerpt.h"
#include "host/io/plain_text.h"

namespace tracer {
namespace {

constexpr int64_t kMostTextBytes = 160, kFewestTextBytes = 40;  // of one excerpt

// Ascending; of more than `most` rows those with the least hash.
std::vector<int64_t> rows_shown(int64_t rows, int64_t most) {
  std::vector<int64_t> shown(static_cast<size_t>(rows));
  std::iota(shown.begin(), shown.end(), 0);
  if (rows <= most) return shown;
  std::nth_element(shown.begin(), shown.begin() + most, shown.end(), [](int64_t a, int64_t b) {
    return mix64(static_cast<uint64_t>(a)) < mix64(static_cast<uint64_t>(b));
  });
  shown.resize(static_cast<size_t>(most));
  std::sort(shown.begin(), shown.end());
  return shown;
}

// Both axes to one scale, into 0 to kMapExtent; y grows downwards, as on a screen.
void put_places(const Matrix<float>& at, const char* x, const char* y, Json& out) {
  float low[2] = {0, 0}, high[2] = {0, 0};
  for (int64_t i = 0; i < at.rows(); ++i)
    for (int64_t j = 0; j < 2; ++j) {
      low[j] = i == 0 ? at(i, j) : std::min(low[j], at(i, j));
      high[j] = i == 0 ? at(i, j) : std::max(high[j], at(i, j));
    }
  const double span = std::max(high[0] - low[0], high[1] - low[1]);
  const double scale = span > 0 ? static_cast<double>(kMapExtent) / span : 0;
  Json columns[2] = {Json::array(), Json::array()};
  for (int64_t i = 0; i < at.rows(); ++i)
    for (int64_t j = 0; j < 2; ++j) {
      const double middle = (static_cast<double>(low[j]) + high[j]) / 2;
      const double from_middle = (at(i, j) - middle) * scale * (j == 0 ? 1 : -1);
      columns[j].push_back(std::clamp<int64_t>(std::llround(kMapExtent / 2.0 + from_middle), 0, kMapExtent));
    }
  out[x] = std::move(columns[0]), out[y] = std::move(columns[1]);
}

}  // namespace

MapRows map_rows(const ExplainedRows& e) {
  MapRows out;
  out.x = e.x.view(), out.names = &e.names, out.labels = &e.policy->labels;
  for (int w = 0; w < kCauses; ++w) out.whys.push_back(as_flags(cause_text(static_cast<Cause>(w))));
  for (size_t i = 0; i < e.rows.size(); ++i) {
    out.teacher.push_back(e.rows[i].teacher), out.surrogate.push_back(e.rows[i].label);
    out.why.push_back(static_cast<int32_t>(e.causes.cause[i])), out.score.push_back(e.rows[i].score);
  }
  out.region = e.regions.region;
  return out;
}

Result<Json> report_map(Backend& backend, const MapRows& r) {
  const auto rows = r.x.rows;
  const std::vector<int64_t> shown = rows_shown(rows, kMostMapRows);
  const auto n = static_cast<int64_t>(shown.size());
  Matrix<float> x(n, r.x.cols);
  TRACER_RETURN_IF_ERROR(backend.gather_rows(r.x, shown, x.view()));
  Matrix<float> centred = x.clone();
  TRACER_ASSIGN_OR_RETURN(auto components, principal_components(backend, centred.view(), 2));
  centred = {};
  TRACER_ASSIGN_OR_RETURN(auto map, neighbour_map(backend, x.view(), components.coordinates.view()));

  const int64_t most = std::clamp(kMapTextBytes / std::max<int64_t>(n, 1), kFewestTextBytes, kMostTextBytes);
  const auto text_of = [&](const std::vector<std::string>& all, size_t at) {
    return all.empty() || all[at].empty() ? Json(nullptr) : Json(excerpt(all[at], static_cast<size_t>(most)));
  };
  const bool ids = std::any_of(r.names->id.begin(), r.names->id.end(), [](const auto& id) { return !id.empty(); });
  Json line = Json::array(), id = Json::array(), text = Json::array(), teacher = Json::array();
  Json surrogate = Json::array(), why = Json::array(), score = Json::array(), region = Json::array();
  for (const int64_t row : shown) {
    const auto at = static_cast<size_t>(row);
    line.push_back(r.names->line[at]);
    if (ids) id.push_back(text_of(r.names->id, at));
    text.push_back(text_of(r.names->input, at));
    teacher.push_back(r.teacher[at]), surrogate.push_back(r.surrogate[at]);
    why.push_back(r.why[at]);
    if (!r.region.empty()) region.push_back(r.region[at]);
    score.push_back(std::round(r.score[at] * 1000) / 1000);
  }
  Json out = {{"line", std::move(line)},
              {"id", ids ? std::move(id) : Json(nullptr)},
              {"text", std::move(text)},
              {"teacher", std::move(teacher)},
              {"surrogate", std::move(surrogate)},
              {"labels", *r.labels},
              {"why", std::move(why)},
              {"whys", r.whys},
              {"region", region.empty() ? Json(nullptr) : std::move(region)},
              {"score", std::move(score)},
              {"share", components.share}};
  put_places(map, "x", "y", out);
  put_places(components.coordinates, "px", "py", out);
  return out;
}

}  // namespace tracer
