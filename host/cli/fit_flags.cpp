#include "host/cli/fit_flags.h"

namespace tracer::cli {

void add_split_options(Flags& app, SplitRequest& split, std::string& group_by) {
  app.add_option("--split", split.kind, "auto, rows, runs or time")
      ->check(one_of({"auto", "rows", "runs", "time"}))
      ->capture_default_str();
  app.add_option("--group-by", group_by, "key (of the row or its metadata) whose groups stay on one side");
  app.add_option("--certify-fraction", split.certify_fraction, "share of the log kept for the certificate")
      ->check(open_unit_interval())
      ->capture_default_str();
  app.add_option("--unit", split.unit, "what is independent: auto, rows or runs")
      ->check(one_of({"auto", "rows", "runs"}))
      ->capture_default_str();
  app.add_option("--folds", split.folds, "cross-validation folds")->check(in_range(2, 100))->capture_default_str();
}

void add_member_options(Flags& app, SurrogateRequest& surrogate) {
  app.add_option(
         "--members", surrogate.members,
         "members to learn: softmax,neighbours and any of prototype,mlp,mlp2,gbt, which are kept where they help")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--families", surrogate.families,
                 "rules to choose from: global,l2d and, to try a threshold for each label too, l2d_label, or a second "
                 "surrogate for what the "
                 "first would defer, rsb")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--gate-share", surrogate.gate_share,
                 "share of ordinary rows that may be left to the teacher as unlike anything learned: a larger one "
                 "catches more rows of another kind; 0: what is beyond all learn rows")
      ->check(in_range(0.0, 0.5))
      ->capture_default_str();
}

}  // namespace tracer::cli
