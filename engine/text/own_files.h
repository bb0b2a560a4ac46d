// Where files lie that come with the program: the module of libtorch and the default text encoder.
#pragma once

#include <initializer_list>
#include <string>

namespace tracer {

// The first of these paths that exists, each relative to the folder of the program or library that this code is in; the
// first one if none does. Links are followed, so that a link to the program finds what lies beside the program. A
// folder that is moved as a whole stays whole: no path is fixed when the program is built.
std::string own_file(std::initializer_list<const char*> candidates);

}  // namespace tracer
