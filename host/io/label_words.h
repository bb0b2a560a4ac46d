// What the name of a label says.
#pragma once

#include <string>

namespace tracer::io {

// A label as people would say it: words apart where there is _, - or another mark between them or a capital begins one
// (cardArrival). "" where it has no letter: such a label says nothing.
std::string words_of_label(const std::string& label);

}  // namespace tracer::io
