// Which files a call reads and writes, and whether one of its outputs would destroy what matters.
#pragma once

#include <string>
#include <vector>

#include "kernels/status.h"

namespace tracer {

// A file that is read or written: what a message calls it, option("rejects") where an option names it, and its path; ""
// is nothing, "-" a standard stream.
struct FileUse {
  std::string name;
  std::string path;
};

// Ok when writing the outputs destroys nothing that matters; else kBadInput with the option as its field. No output may
// be one of the inputs or another output, under whatever name (links are followed; devices and pipes hold nothing and
// are fine), nor lie in the policy's folder or be one of its files. Neither the outputs nor the folder need exist yet.
Status check_outputs(const std::vector<FileUse>& outputs, const std::vector<FileUse>& inputs,
                     const std::string& policy_folder);

// Whether a path given as an output is, or would be created as, a regular file.
bool makes_regular_file(const std::string& path);

}  // namespace tracer
