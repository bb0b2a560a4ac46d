#include "host/versions/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include "host/artifact/folder.h"
#include "host/artifact/names.h"
#include "host/io/json_fields.h"
#include "host/io/sha256.h"

namespace tracer {
namespace {

namespace fs = std::filesystem;

constexpr char kState[] = "state.json";
constexpr char kLock[] = "lock";
constexpr int64_t kMostBytes = int64_t{1} << 30;

std::string rows_name(size_t number) {
  char name[64];
  std::snprintf(name, sizeof name, "rows-%06zu.safetensors", number);
  return name;
}

// A folder of a version, also one that was being written: [cv]NNNNNN, .new-PID, .old-PID.
bool names_version(const std::string& name) {
  if (name.size() < 7 || (name[0] != 'v' && name[0] != 'c')) return false;
  for (size_t i = 1; i < 7; ++i)
    if (name[i] < '0' || name[i] > '9') return false;
  const std::string rest = name.substr(7);
  return rest.empty() || rest.starts_with(".new-") || rest.starts_with(".old-");
}

// The looks of both, each once.
Json joined_ledgers(const Json& a, const Json& b) {
  Json out = a;
  std::set<std::string> known;
  for (const Json& look : a.at("looks")) known.insert(look.value("config", ""));
  for (const Json& look : b.at("looks"))
    if (known.insert(look.value("config", "")).second) out["looks"].push_back(look);
  return out;
}

}  // namespace

Result<std::string> policy_content(const std::string& folder) {
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(folder + "/" + kManifest));
  TRACER_ASSIGN_OR_RETURN(auto json, parse_json(text, folder + "/" + kManifest));
  if (!json.is_object() || !json.contains("parts") || !json.at("parts").is_object())
    return bad_input(folder + "/" + kManifest + ": expected a policy's manifest");
  json.at("parts").erase(kLookLedger);
  return io::sha256_hex(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<std::string> versions_folder(const std::string& policy) {
  TRACER_ASSIGN_OR_RETURN(auto real, resolve_folder(policy));
  return real + ".versions";
}

std::string VersionStore::numbered(char kind, int64_t number) const {
  char name[32];
  std::snprintf(name, sizeof name, "%c%06lld", kind, static_cast<long long>(number));
  return folder_ + "/" + name;
}
std::string VersionStore::version_path(int64_t number) const { return numbered('v', number); }
std::string VersionStore::change_path(int64_t number) const { return version_path(number) + ".change.json"; }
std::string VersionStore::waiting_path() const { return numbered('c', state_.waiting()->number); }

Status VersionStore::lock() {
  const std::string path = folder_ + "/" + kLock;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return io::errno_error(path, "cannot create", errno);
  lock_ = io::UniqueFd(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return refused(folder_ + ": in use by another process");
  return io::errno_error(path, "cannot lock", errno);
}

Result<VersionStore> VersionStore::open(const std::string& policy, bool create, double delta) {
  TRACER_ASSIGN_OR_RETURN(auto folder, versions_folder(policy));
  auto content = policy_content(policy);  // a policy is there before anything is made beside it
  if (!content.ok()) return content.status();
  std::error_code ec;
  if (!fs::exists(folder, ec)) {
    if (!create) return bad_input(policy + ": has no versions beside it yet: `tracer update` makes them");
    if (!fs::create_directory(folder, ec) || ec) return io::errno_error(folder, "cannot create the folder", ec.value());
  }
  VersionStore store(policy, folder);
  TRACER_RETURN_IF_ERROR(store.lock());
  const std::string path = folder + "/" + kState;
  if (!fs::exists(path, ec)) {
    for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
      if (it->path().filename().string().starts_with("rows-"))
        return bad_input(path +
                         ": missing, though there are rows: what they were spent on is not known; put it back, "
                         "or move the folder away to begin anew");
    if (!create) return bad_input(policy + ": has no versions beside it yet: `tracer update` makes them");
    TRACER_RETURN_IF_ERROR(store.begin(delta));
    return store;
  }
  TRACER_ASSIGN_OR_RETURN(auto text, io::read_file(path, kMostBytes));
  TRACER_ASSIGN_OR_RETURN(store.state_, parse_state(text, path));
  TRACER_RETURN_IF_ERROR(store.reconcile());
  store.remove_leftovers();
  return store;
}

Status VersionStore::begin(double delta) {
  state_.delta = delta;
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(policy_));
  TRACER_ASSIGN_OR_RETURN(auto content, policy_content(policy_));
  state_.versions.push_back({1, "fit", content, VersionStatus::kDeployed, 0, artifact.policy.delta, 0});
  state_.champions = {1};
  TRACER_RETURN_IF_ERROR(write_artifact(version_path(1), artifact));
  return save();
}

// The policy's folder is what routes: the state follows it.
Status VersionStore::reconcile() {
  if (state_.deploying != 0) return put_in_place();
  TRACER_ASSIGN_OR_RETURN(auto content, policy_content(policy_));
  if (content == state_.versions[static_cast<size_t>(state_.champion() - 1)].content) return {};
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(policy_));
  const auto number = static_cast<int64_t>(state_.versions.size()) + 1;  // another fit
  state_.versions.push_back({number, "fit", content, VersionStatus::kDeployed, 0, artifact.policy.delta, 0});
  state_.champions.push_back(number);
  TRACER_RETURN_IF_ERROR(write_artifact(version_path(number), artifact));
  return save();
}

// Repeatable: the same version gives the same bytes, however often it was cut short.
Status VersionStore::put_in_place() {
  TRACER_ASSIGN_OR_RETURN(auto artifact, read_artifact(version_path(state_.deploying)));
  auto ledger = read_look_ledger(policy_);  // looks at certify rows are not undone by another policy
  if (!ledger.ok()) return ledger.status();
  artifact.look_ledger = joined_ledgers(artifact.look_ledger, *ledger);
  TRACER_RETURN_IF_ERROR(write_artifact(policy_, artifact));
  state_.champions.push_back(state_.deploying);
  state_.deploying = 0;
  return save();
}

void VersionStore::remove_leftovers() const {
  std::set<std::string> wanted;
  for (const RowsFile& r : state_.rows) wanted.insert(r.file);
  for (const Version& v : state_.versions) {
    if (v.status == VersionStatus::kDeployed) wanted.insert(fs::path(numbered('v', v.number)).filename().string());
    if (v.status == VersionStatus::kWaiting) wanted.insert(fs::path(numbered('c', v.number)).filename().string());
  }
  std::vector<fs::path> leftovers;
  std::error_code ec;
  for (fs::directory_iterator it(folder_, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    const bool ours =
        name.starts_with("rows-") || name.starts_with(std::string(kState) + ".tmp-") || names_version(name);
    if (ours && !wanted.contains(name)) leftovers.push_back(it->path());
  }
  for (const fs::path& path : leftovers) fs::remove_all(path, ec);
}

Status VersionStore::save() const { return io::write_file_atomic(folder_ + "/" + kState, state_text(state_)); }

Status VersionStore::append(const KeptRows& rows, int64_t audit) {
  TRACER_ASSIGN_OR_RETURN(auto bytes, rows_bytes(rows));
  RowsFile entry;
  entry.file = rows_name(state_.rows.size() + 1);
  entry.sha256 = io::sha256_hex(bytes);
  entry.rows = rows.rows();
  entry.audit = audit;
  if (const Version* v = state_.waiting()) entry.challenger = v->number;
  TRACER_RETURN_IF_ERROR(io::write_file_atomic(folder_ + "/" + entry.file, bytes));
  state_.rows.push_back(std::move(entry));
  return {};
}

Status VersionStore::add_original(const KeptRows& rows) { return append(rows, 0); }

Result<TakenIn> VersionStore::take_in(const KeptRows& rows, const std::vector<int64_t>& lines) {
  struct Known {
    uint64_t content = 0;
    bool unanswered = false;
  };
  std::unordered_map<uint64_t, Known> known;
  int64_t dimension = rows.x.cols();
  for (size_t f = 0; f < state_.rows.size(); ++f) {
    TRACER_ASSIGN_OR_RETURN(auto earlier, read_rows(folder_ + "/" + state_.rows[f].file, state_.rows[f].sha256));
    if (earlier.x.cols() != dimension)
      return bad_input("expected vectors of dimension " + std::to_string(earlier.x.cols()) + " as the rows of " +
                       folder_ + ", found " + std::to_string(dimension));
    if (f == 0) continue;  // the original log's rows have no names
    for (int64_t i = 0; i < earlier.rows(); ++i) known[earlier.name[i]] = {earlier.content(i), earlier.label[i] < 0};
  }
  TakenIn taken;
  std::vector<int64_t> fresh;
  for (int64_t i = 0; i < rows.rows(); ++i) {
    const auto [at, is_new] = known.try_emplace(rows.name[i], Known{rows.content(i), rows.label[i] < 0});
    if (!is_new) {
      if (!at->second.unanswered && rows.label[i] >= 0 && at->second.content != rows.content(i))
        return bad_input(
            "line " + std::to_string(lines[i]) +
            ": the id or occurrence of this row was taken in before with another text or answer; give each "
            "row an \"occurrence\" that names it for ever");
      ++taken.known;
      continue;
    }
    fresh.push_back(i);
    ++taken.rows;
    taken.deferred += rows.provenance[i] == io::RowOrigin::kDeferred;
    const bool audit = rows.provenance[i] == io::RowOrigin::kAudit;
    taken.audit += audit, taken.unanswered += audit && rows.label[i] < 0;
  }
  if (fresh.empty()) return taken;
  KeptRows kept;
  kept.labels = rows.labels;
  kept.x = Matrix<float>(taken.rows, dimension);
  for (size_t k = 0; k < fresh.size(); ++k) {
    const int64_t i = fresh[k];
    kept.label.push_back(rows.label[i]);
    kept.text.push_back(rows.text[i]);
    kept.name.push_back(rows.name[i]);
    kept.provenance.push_back(rows.provenance[i]);
    std::copy_n(rows.x.row(i), dimension, kept.x.row(static_cast<int64_t>(k)));
  }
  TRACER_RETURN_IF_ERROR(append(kept, taken.audit));
  return taken;
}

// audit: those spent on the challenger in waiting; else all others.
Result<KeptRows> VersionStore::gather(bool audit) const {
  const Version* waiting = state_.waiting();
  std::vector<KeptRows> parts;
  std::vector<std::vector<int64_t>> picked;
  KeptRows all;
  int64_t n = 0, dimension = 0;
  for (const RowsFile& entry : state_.rows) {
    const bool unspent = waiting != nullptr && entry.challenger == waiting->number;
    if (audit && !unspent) continue;
    TRACER_ASSIGN_OR_RETURN(auto part, read_rows(folder_ + "/" + entry.file, entry.sha256));
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < part.rows(); ++i) {
      const bool held = unspent && part.provenance[i] == io::RowOrigin::kAudit;
      if (held == audit && (audit || part.label[i] >= 0)) rows.push_back(i);
    }
    n += static_cast<int64_t>(rows.size());
    dimension = part.x.cols();
    for (int64_t i : rows)
      if (part.label[i] >= 0) all.labels.push_back(part.labels[part.label[i]]);
    std::sort(all.labels.begin(), all.labels.end());
    all.labels.erase(std::unique(all.labels.begin(), all.labels.end()), all.labels.end());
    parts.push_back(std::move(part));
    picked.push_back(std::move(rows));
  }
  all.x = Matrix<float>(n, dimension);
  for (size_t p = 0; p < parts.size(); ++p)
    for (int64_t i : picked[p]) {
      const KeptRows& part = parts[p];
      std::copy_n(part.x.row(i), dimension, all.x.row(all.rows()));
      int32_t label = -1;
      if (part.label[i] >= 0)
        label = static_cast<int32_t>(
            std::lower_bound(all.labels.begin(), all.labels.end(), part.labels[part.label[i]]) - all.labels.begin());
      all.label.push_back(label);
      all.text.push_back(part.text[i]);
      all.name.push_back(part.name[i]);
      all.provenance.push_back(part.provenance[i]);
    }
  return all;
}

Result<KeptRows> VersionStore::learn_rows() const { return gather(false); }
Result<KeptRows> VersionStore::audit_rows() const { return gather(true); }

Result<int64_t> VersionStore::add_waiting(Artifact& challenger, const std::vector<AuditPlan>& plans, int64_t number,
                                          double level) {
  Version v;
  v.number = static_cast<int64_t>(state_.versions.size()) + 1;
  v.origin = "update";
  v.status = VersionStatus::kWaiting;
  v.challenger = number;
  v.level = level;
  TRACER_RETURN_IF_ERROR(write_artifact(numbered('c', v.number), challenger));
  TRACER_ASSIGN_OR_RETURN(auto content, policy_content(numbered('c', v.number)));
  v.content = content;
  state_.versions.push_back(v);
  state_.plans = plans;
  TRACER_RETURN_IF_ERROR(save());
  return v.number;
}

Status VersionStore::deploy_waiting(Artifact& certified, int64_t audit_rows) {
  Version& v = *state_.waiting();
  TRACER_RETURN_IF_ERROR(write_artifact(version_path(v.number), certified));
  TRACER_ASSIGN_OR_RETURN(auto content, policy_content(version_path(v.number)));
  v.content = content;
  v.status = VersionStatus::kDeployed;
  v.audit_rows = audit_rows;
  state_.scored = std::max(state_.scored, v.challenger);
  state_.deploying = v.number;
  TRACER_RETURN_IF_ERROR(save());  // from here on it is deployed, whenever the rest is done
  TRACER_RETURN_IF_ERROR(put_in_place());
  remove_leftovers();
  return {};
}

Status VersionStore::drop_waiting(int64_t audit_rows) {
  Version& v = *state_.waiting();
  v.status = VersionStatus::kDropped;
  v.audit_rows = audit_rows;
  if (audit_rows > 0) state_.scored = std::max(state_.scored, v.challenger);
  TRACER_RETURN_IF_ERROR(save());
  remove_leftovers();
  return {};
}

Status VersionStore::promote(int64_t number) {
  state_.deploying = number;
  TRACER_RETURN_IF_ERROR(save());
  return put_in_place();
}

}  // namespace tracer
