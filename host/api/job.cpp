#include "host/api/job.h"

#include <utility>

#include "host/api/access.h"
#include "host/job/cancelling.h"
#include "host/job/export.h"
#include "host/job/partial.h"
#include "host/job/price.h"
#include "host/job/report.h"
#include "host/job/run.h"
#include "host/job/store.h"

namespace tracer {
namespace {

// The figures with their document.
template <class Report, class Figures>
Result<Report> reported(Result<Figures> figures) {
  if (!figures.ok()) return figures.status();
  Document document{job::json_of(*figures), job::text_of(*figures)};
  return Report{{std::move(figures).value()}, std::move(document)};
}

}  // namespace

Result<JobReport> run_job(const Device& device, const JobRequest& request, const Events& events) {
  return reported<JobReport>(job::run(DeviceAccess::backend(device), request, events));
}

Result<JobPriceReport> price_job(const Device& device, const JobRequest& request, const Events& events) {
  return reported<JobPriceReport>(job::price(DeviceAccess::backend(device), request, events));
}

Result<JobStatus> job_status(const std::string& job) {
  TRACER_ASSIGN_OR_RETURN(auto store, job::Store::open_to_read(job::job_path_of(job)));
  return reported<JobStatus>(job::figures_of(store));
}

Result<JobTracesReport> export_job(const JobExportRequest& request) {
  return reported<JobTracesReport>(job::export_traces(request));
}

Result<JobRestReport> export_job_rest(const Device& device, const JobPartialRequest& request, const Events& events) {
  return reported<JobRestReport>(job::export_partial(DeviceAccess::backend(device), request, events));
}

Result<JobCancelReport> cancel_job(const JobCancelRequest& request, const Events& events) {
  return reported<JobCancelReport>(job::cancel(request, events));
}

Result<JobBatchFilesReport> export_job_batch(const std::string& job, const std::string& output) {
  return reported<JobBatchFilesReport>(job::export_batch(job, output));
}

Result<JobBatchAnswersReport> import_job_batch(const JobBatchImport& request) {
  return reported<JobBatchAnswersReport>(job::import_batch(request));
}

}  // namespace tracer
