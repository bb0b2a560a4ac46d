#include "host/job/cancel.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "host/io/file.h"

namespace tracer::job {
namespace {

std::string wish(const std::string& job) { return job + ".cancel"; }

}  // namespace

Status request_cancel(const std::string& job) { return io::write_file_atomic(wish(job), ""); }

bool cancel_requested(const std::string& job) { return ::access(wish(job).c_str(), F_OK) == 0; }

Status set_cancelled(Store& store, const std::string& job, bool cancelled) {
  TRACER_RETURN_IF_ERROR(store.set_meta("cancelled", cancelled ? "1" : "0"));
  if (::unlink(wish(job).c_str()) != 0 && errno != ENOENT) return io::errno_error(wish(job), "cannot remove", errno);
  return {};
}

Result<bool> is_cancelled(Store& store) {
  const auto flag = store.meta("cancelled");
  if (!flag.ok()) return flag.status();
  return *flag == "1";
}

bool in_use(const std::string& job) {
  const io::UniqueFd fd(::open(job.c_str(), O_RDWR | O_CLOEXEC));
  return fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace tracer::job
