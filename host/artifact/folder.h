// Replacing a folder as a whole.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer {

// Makes `path` a folder with exactly these files (name -> bytes): they are written and synced in a temporary folder
// beside it, which is then exchanged with an existing one in one step (renameat2 RENAME_EXCHANGE; where the file system
// has none, two renames). On failure the old folder is as it was and the temporary is removed.
Status replace_folder(const std::string& path, const std::map<std::string, std::string_view>& files);

}  // namespace tracer
