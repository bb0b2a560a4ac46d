#include "host/http/http_client.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <unordered_map>

#include "host/http/curl_handles.h"
#include "host/io/file.h"

namespace tracer::http {
namespace {

using Clock = std::chrono::steady_clock;

struct Transfer {
  CurlEasy easy;
  CurlList headers;
  HttpRequest request;
  HttpResponse response;
  int64_t max_bytes = 0;
  char error[CURL_ERROR_SIZE] = {};
};

size_t on_body(char* data, size_t, size_t bytes, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (static_cast<int64_t>(transfer.response.body.size() + bytes) > transfer.max_bytes) return 0;  // CURLE_WRITE_ERROR
  transfer.response.body.append(data, bytes);
  return bytes;
}

size_t on_header(char* data, size_t, size_t bytes, void* user) {
  read_header_line({data, bytes}, static_cast<Transfer*>(user)->response);
  return bytes;
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

struct HttpClient::State {
  HttpOptions options;
  io::UniqueFd epoll;
  io::UniqueFd event;
  std::vector<std::unique_ptr<Transfer>> idle;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> active;
  std::unique_ptr<CURLM, CurlMultiDeleter> multi;  // before `active` goes, every handle is taken out of it
  Clock::time_point timer = Clock::time_point::max();

  ~State() {
    for (auto& [easy, transfer] : active) curl_multi_remove_handle(multi.get(), easy);
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* user, void* known) {
    auto& state = *static_cast<State*>(user);
    struct epoll_event event {};
    event.data.fd = socket;
    if (what == CURL_POLL_REMOVE) {
      (void)::epoll_ctl(state.epoll.get(), EPOLL_CTL_DEL, socket, &event);
      return 0;
    }
    event.events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    const int how = known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (::epoll_ctl(state.epoll.get(), how, socket, &event) != 0) {
      const int other = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
      if (::epoll_ctl(state.epoll.get(), other, socket, &event) != 0) return -1;
    }
    curl_multi_assign(state.multi.get(), socket, user);  // any value: the socket is known
    return 0;
  }
  static int on_timer(CURLM*, long ms, void* user) {
    auto& state = *static_cast<State*>(user);
    state.timer = ms < 0 ? Clock::time_point::max() : Clock::now() + std::chrono::milliseconds(ms);
    return 0;
  }

  void set_up(Transfer& t) {
    CURL* easy = t.easy.get();
    curl_easy_reset(easy);  // keeps connections, which belong to the multi handle
    t.headers = header_list(t.request.headers);
    set_common_options(easy, options);
    curl_easy_setopt(easy, CURLOPT_URL, t.request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t.headers.get());
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(t.request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, t.request.body.data());
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_ms));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.error);
    t.error[0] = '\0';
    t.response = {};
    t.response.id = t.request.id;
    t.max_bytes = options.max_response_bytes;
  }

  void collect(std::vector<HttpResponse>& done) {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* easy = message->easy_handle;
      const CURLcode code = message->data.result;
      auto at = active.find(easy);
      curl_multi_remove_handle(multi.get(), easy);
      if (at == active.end()) continue;
      std::unique_ptr<Transfer> t = std::move(at->second);
      active.erase(at);
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      long request_bytes = 0;
      curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_bytes);
      t->response.sent = request_bytes > 0;
      // A body that did not come whole is no answer, whatever its status line said.
      t->response.status = code == CURLE_OK ? static_cast<int>(status) : 0;
      if (code == CURLE_WRITE_ERROR)
        t->response.error = "the answer is larger than " + std::to_string(options.max_response_bytes) + " bytes";
      else if (code != CURLE_OK)
        t->response.error = t->error[0] != '\0' ? t->error : curl_easy_strerror(code);
      done.push_back(std::move(t->response));
      idle.push_back(std::move(t));
    }
  }
};

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::~HttpClient() = default;

Result<std::unique_ptr<HttpClient>> HttpClient::create(const HttpOptions& options) {
  TRACER_RETURN_IF_ERROR(curl_ready());
  auto state = std::make_unique<State>();
  state->options = options;
  state->epoll = io::UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  state->event = io::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->epoll.valid() || !state->event.valid()) return io::errno_error("epoll", "cannot create", errno);
  struct epoll_event event {};
  event.events = EPOLLIN;
  event.data.fd = state->event.get();
  if (::epoll_ctl(state->epoll.get(), EPOLL_CTL_ADD, state->event.get(), &event) != 0)
    return io::errno_error("epoll", "cannot watch", errno);
  state->multi.reset(curl_multi_init());
  if (state->multi == nullptr) return io_error("libcurl: no multi handle");
  CURLM* multi = state->multi.get();
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &State::on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, state.get());
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &State::on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, state.get());
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(options.max_connections));
  curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(options.max_connections));
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

Status HttpClient::submit(HttpRequest request) {
  State& s = *state_;
  std::unique_ptr<Transfer> t;
  if (!s.idle.empty()) {
    t = std::move(s.idle.back());
    s.idle.pop_back();
  } else {
    t = std::make_unique<Transfer>();
    t->easy.reset(curl_easy_init());
    if (t->easy == nullptr) return io_error("libcurl: no handle for a request");
  }
  t->request = std::move(request);
  s.set_up(*t);
  CURL* easy = t->easy.get();
  s.active.emplace(easy, std::move(t));
  const CURLMcode code = curl_multi_add_handle(s.multi.get(), easy);
  if (code == CURLM_OK) return {};
  s.active.erase(easy);
  return io_error(std::string("libcurl: ") + curl_multi_strerror(code));
}

Status HttpClient::poll(int64_t timeout_ms, std::vector<HttpResponse>& done) {
  State& s = *state_;
  const auto now = Clock::now();
  int64_t wait = std::max<int64_t>(timeout_ms, 0);
  if (s.timer != Clock::time_point::max())
    wait = std::min<int64_t>(
        wait, std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(s.timer - now).count()));
  struct epoll_event events[128];
  const int n = ::epoll_wait(s.epoll.get(), events, 128, static_cast<int>(std::min<int64_t>(wait, 60'000)));
  if (n < 0 && errno != EINTR) return io::errno_error("epoll", "cannot wait", errno);
  int running = 0;
  for (int i = 0; i < n; ++i) {
    if (events[i].data.fd == s.event.get()) {
      uint64_t count = 0;
      while (::read(s.event.get(), &count, sizeof count) > 0) {
      }
      continue;
    }
    int what = 0;
    if ((events[i].events & (EPOLLIN | EPOLLHUP)) != 0) what |= CURL_CSELECT_IN;
    if ((events[i].events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
    if ((events[i].events & EPOLLERR) != 0) what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(s.multi.get(), events[i].data.fd, what, &running);
  }
  if (s.timer <= Clock::now()) {
    s.timer = Clock::time_point::max();  // on_timer sets the next one
    curl_multi_socket_action(s.multi.get(), CURL_SOCKET_TIMEOUT, 0, &running);
  }
  s.collect(done);
  return {};
}

void HttpClient::wake() {
  const uint64_t one = 1;
  while (::write(state_->event.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

int64_t HttpClient::in_flight() const { return static_cast<int64_t>(state_->active.size()); }

}  // namespace tracer::http
