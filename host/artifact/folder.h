// Replacing a folder as a whole.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kernels/status.h"

namespace tracer {

// Where a folder given by a user really is: absolute, links followed, no "." or ".." in it. It need not exist, but its
// parent must. kBadInput where it is no folder, or could not be exchanged with another: an empty path, a link to
// nothing, a mount point, the root, the current folder; kIo where the parent is missing or cannot be written to.
Result<std::string> resolve_folder(const std::string& path);

// Makes `path` a folder with exactly these files (name -> bytes): they are written and synced in a temporary folder
// beside it, which is then exchanged with an existing one in one step (renameat2 RENAME_EXCHANGE; where the file system
// has none, two renames). On failure the old folder is as it was and the temporary is removed.
// Temporaries that killed processes left beside `path` are removed, too. Calls resolve_folder first.
Status replace_folder(const std::string& path, const std::map<std::string, std::string_view>& files);

}  // namespace tracer
