#include "host/versions/changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace tracer {
namespace {

struct Draws {
  explicit Draws(uint64_t seed) : bits(seed) {}
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  std::mt19937_64 bits;
};

Policy policy_of(std::vector<std::string> labels, double threshold) {
  Policy p;
  p.labels = std::move(labels);
  p.alpha = 0.9;
  Certificate c;
  c.alpha = 0.9, c.certified = true, c.method = Method::kL2d, c.threshold = threshold;
  p.certificates = {c};
  return p;
}

struct Compared {
  Policy before = policy_of({"a", "b", "c", "d"}, 0.6), after = policy_of({"b", "c", "d", "e"}, 0.3);
  KeptRows rows;
  std::vector<AuditRow> scores[2];
  Regions regions;
  RowNames names;

  Compared(int64_t n, int64_t count, uint64_t seed) {
    Draws draws(seed);
    rows.labels = {"a", "b", "c", "d", "e"};
    regions.count = count;
    for (int64_t i = 0; i < n; ++i) {
      rows.label.push_back(static_cast<int32_t>(draws.below(6)) - 1);
      for (auto& side : scores) {
        AuditRow row;
        row.score.features.label = static_cast<int32_t>(draws.below(4));
        row.score.score = draws.uniform();
        row.score.gated = draws.uniform() < 0.1;
        row.teacher = draws.uniform() < 0.6 ? row.score.features.label : -1;
        side.push_back(row);
      }
      regions.region.push_back(count > 0 ? static_cast<int32_t>(draws.below(count)) : 0);
      regions.distance2.push_back(static_cast<float>(draws.below(50)));
      names.line.push_back(draws.uniform() < 0.5 ? 0 : i + 1);
      names.id.push_back(draws.uniform() < 0.5 ? "" : "r" + std::to_string(i));
    }
  }
  PolicySide side(int s) const {
    const Policy& p = s == 0 ? before : after;
    return {&p, &p.certificates[0]};
  }
  Change change() const { return change_on(side(0), scores[0], side(1), scores[1], rows, regions, names); }
};

// The oracle: for each region, a pass over the rows that asks the definition.
TEST(VersionChanges, EachRegionIsCountedByItself) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Compared in(400, 1 + static_cast<int64_t>(seed % 7), seed);
    const Change change = in.change();
    ASSERT_EQ(static_cast<int64_t>(change.regions.size()), in.regions.count) << seed;
    int64_t rows = 0;
    for (int32_t r = 0; r < in.regions.count; ++r) {
      const RegionChange& got = change.regions[r];
      int64_t n = 0, handled[2] = {0, 0}, agree[2] = {0, 0}, example = -1;
      std::map<int32_t, int64_t> labels;
      for (int64_t i = 0; i < in.rows.rows(); ++i) {
        if (in.regions.region[i] != r) continue;
        ++n, ++labels[in.rows.label[i]];
        for (int s = 0; s < 2; ++s) {
          const AuditRow& row = in.scores[s][i];
          if (row.score.gated || row.score.score <= (s == 0 ? 0.6 : 0.3)) continue;
          ++handled[s], agree[s] += row.teacher == row.score.features.label;
        }
        if (in.names.line[i] == 0) continue;
        if (example < 0 || in.regions.distance2[i] < in.regions.distance2[example]) example = i;
      }
      EXPECT_EQ(got.rows, n) << seed;
      for (int s = 0; s < 2; ++s) {
        EXPECT_EQ(got.handled[s], handled[s]) << seed;
        EXPECT_EQ(got.agree[s], agree[s]) << seed;
      }
      EXPECT_EQ(got.example, example) << seed;
      ASSERT_EQ(got.labels.size(), std::min<size_t>(3, labels.size())) << seed;
      std::vector<int64_t> most;
      for (const auto& [label, count] : labels) most.push_back(count);
      std::sort(most.rbegin(), most.rend());
      for (size_t l = 0; l < got.labels.size(); ++l) {
        const RegionChange::Label& top = got.labels[l];
        EXPECT_EQ(top.rows, most[l]) << seed;
        const int32_t index = top.answered ? top.label[0] - 'a' : -1;
        EXPECT_EQ(top.rows, labels.at(index)) << seed;
        if (l > 0 && got.labels[l - 1].rows == top.rows && top.answered) {
          EXPECT_LT(got.labels[l - 1].label, top.label) << seed;
        }
      }
      rows += n;
    }
    EXPECT_EQ(rows, change.rows) << seed;
  }
}

TEST(VersionChanges, WithoutCertificateASideHandlesNothing) {
  Compared in(300, 3, 1);
  in.before.certificates[0].certified = false;
  for (const RegionChange& r : in.change().regions) {
    EXPECT_EQ(r.handled[0], 0);
    EXPECT_GT(r.handled[1], 0);
  }
}

TEST(VersionChanges, TooFewRowsForRegionsAreSaidSo) {
  const Compared in(30, 0, 2);
  const auto j = change_json(in.change(), in.names);
  EXPECT_EQ(j["rows"], 30);
  EXPECT_TRUE(j["regions"].is_array() && j["regions"].empty());
  EXPECT_EQ(j["regions_reason"], "regions need at least 100 rows, found 30");
  const Compared none(0, 0, 3);
  const auto empty = change_json(none.change(), none.names);
  EXPECT_EQ(empty["regions_reason"], "regions need at least 100 rows, found 0");
  EXPECT_TRUE(empty["coverage"]["after"].is_null());
}

TEST(VersionChanges, JsonNamesTheExampleAndNothingWhereNoRowOfTheRegionIsAtHand) {
  Compared in(200, 2, 4);
  auto j = change_json(in.change(), in.names);
  EXPECT_TRUE(j["regions_reason"].is_null());
  double share = 0;
  for (size_t r = 0; r < 2; ++r) {
    const auto& region = j["regions"][r];
    const auto i = static_cast<size_t>(in.change().regions[r].example);
    EXPECT_EQ(region["example"]["line"], in.names.line[i]);
    if (in.names.id[i].empty()) {
      EXPECT_TRUE(region["example"]["id"].is_null());
    } else {
      EXPECT_EQ(region["example"]["id"], in.names.id[i]);
    }
    EXPECT_TRUE(region["example"]["input"].is_null());
    share += region["share"].get<double>();
  }
  EXPECT_NEAR(share, 1, 1e-12);
  for (int64_t i = 0; i < 200; ++i)
    if (in.regions.region[i] == 1) in.names.line[i] = 0;
  j = change_json(in.change(), in.names);
  EXPECT_TRUE(j["regions"][0]["example"].is_object());
  EXPECT_TRUE(j["regions"][1]["example"].is_null());
}

}  // namespace
}  // namespace tracer
