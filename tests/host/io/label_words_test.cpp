#include "host/io/label_words.h"

#include <gtest/gtest.h>

namespace tracer::io {
namespace {

TEST(LabelWords, AreWhatPeopleWouldSay) {
  const struct {
    const char *label, *words;
  } cases[] = {
      {"card_arrival", "card arrival"},
      {"Refund_not_showing_up", "Refund not showing up"},
      {"auto and commute", "auto and commute"},
      {"billing/refund-late", "billing refund late"},
      {"cardArrival", "card Arrival"},
      {"ATMSupport", "ATMSupport"},
      {"__a__", "a"},
      {"top-up 2", "top up 2"},
      {"zahlung_überfällig", "zahlung überfällig"},
      {"\u4fe1\u7528\u5361", "\u4fe1\u7528\u5361"},
      {"", ""},
      {"17", ""},
      {"1_2-3", ""},
      {"...", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(words_of_label(c.label), c.words) << c.label;
}

}  // namespace
}  // namespace tracer::io
