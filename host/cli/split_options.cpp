#include "host/cli/split_options.h"

#include "host/cli/command.h"
#include "host/cli/flags.h"

namespace tracer::cli {

void add_split_options(Flags& app, SplitFlags& flags, FitOptions& fit) {
  app.add_option("--split", flags.split, "auto, rows, runs or time")
      ->check(one_of({"auto", "rows", "runs", "time"}))
      ->capture_default_str();
  app.add_option("--group-by", flags.group_by, "key (of the row or its metadata) whose groups stay on one side");
  app.add_option("--certify-fraction", fit.split.certify_fraction, "share of the log kept for the certificate")
      ->check(open_unit_interval())
      ->capture_default_str();
  app.add_option("--unit", flags.unit, "what is independent: auto, rows or runs")
      ->check(one_of({"auto", "rows", "runs"}))
      ->capture_default_str();
  app.add_option("--folds", fit.split.folds, "cross-validation folds")->check(in_range(2, 100))->capture_default_str();
}

Status read_split_flags(SplitFlags flags, FitOptions& fit) {
  if (!flags.group_by.empty() && flags.split == "auto") flags.split = "groups";
  if (!flags.group_by.empty() && flags.split != "groups")
    return bad_input("--group-by keeps groups whole: leave --split out");
  if (flags.unit == "runs" && flags.split == "rows")
    return bad_input("--unit runs needs a split that keeps runs: --split runs, --split time or --group-by");
  fit.split.kind = flags.split == "rows"     ? SplitKind::kRows
                   : flags.split == "runs"   ? SplitKind::kRuns
                   : flags.split == "time"   ? SplitKind::kTime
                   : flags.split == "groups" ? SplitKind::kGroups
                                             : SplitKind::kAuto;
  fit.unit = flags.unit == "rows" ? Unit::kRows : flags.unit == "runs" ? Unit::kRuns : Unit::kAuto;
  return {};
}

}  // namespace tracer::cli
