#include "host/http/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tracer::http {
namespace {

constexpr double kLongestWaitMs = 24.0 * 3600 * 1000;

// A whole decimal number that is not negative.
std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0) || std::isinf(value))
    return std::nullopt;
  return value;
}

int64_t milliseconds(double ms) { return static_cast<int64_t>(std::ceil(std::min(ms, kLongestWaitMs))); }

// The account has no money or no permission to spend more: waiting does not help.
bool is_quota(const ApiError& e) {
  for (const char* word : {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active",
                           "enforced_spend_limit_reached", "credit_balance_too_low", "insufficient_credits"})
    if (e.code == word || e.type == word) return true;
  return e.message.find("exceeded your current quota") != std::string::npos ||
         e.message.find("credit balance is too low") != std::string::npos;
}

}  // namespace

std::optional<int64_t> retry_after_ms(const HttpResponse& response, double now) {
  if (const auto ms = number(response.header("retry-after-ms"))) return milliseconds(*ms);
  const std::string_view after = response.header("retry-after");
  if (after.empty()) return std::nullopt;
  if (const auto seconds = number(after)) return milliseconds(*seconds * 1000);
  const time_t date = curl_getdate(std::string(after).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return milliseconds(std::max(0.0, static_cast<double>(date) - now) * 1000);
}

int64_t backoff_ms(int attempt, double random) {
  const double full = std::min(30'000.0, 500.0 * std::ldexp(1.0, std::clamp(attempt - 1, 0, 20)));
  return static_cast<int64_t>(full * (0.5 + 0.5 * random));
}

Verdict judge(const HttpResponse& response, const ApiError& error, double now) {
  Verdict v;
  const int status = response.status;
  if (status >= 200 && status < 300) return v;
  if (status == 0) {
    v.outcome = Outcome::kRetry;
    v.error = response.error.empty() ? "no answer" : response.error;
    return v;
  }
  v.error = "http " + std::to_string(status) + (error.message.empty() ? "" : ": " + error.message);
  v.retry_after_ms = retry_after_ms(response, now);
  if (status == 402 || (status != 401 && is_quota(error))) {
    v.outcome = Outcome::kQuota;
    return v;
  }
  if (status == 401 || status == 403 || status == 404) {
    v.outcome = Outcome::kUnauthorized;
    return v;
  }
  v.throttled = status == 429 || status == 503 || status == 529;
  const bool retryable = status == 408 || status == 409 || status == 429 || status >= 500;
  const std::string_view should = response.header("x-should-retry");
  v.outcome = should == "true" || (retryable && should != "false") ? Outcome::kRetry : Outcome::kRowFailed;
  return v;
}

}  // namespace tracer::http
