// A server on loopback that answers with whatever bytes the test gives: torn, slow or wrong ones, too.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tracer {

class LoopbackServer {
 public:
  // What goes back, and whether the connection is closed after it.
  struct Reply {
    std::string bytes;
    bool close = false;
  };
  // request: as it came, head and body. Called on a thread of the connection's.
  using Handler = std::function<Reply(const std::string& request)>;

  explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~LoopbackServer() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  int connections() const { return connections_.load(); }  // ever
  int most_connections() const { return most_.load(); }    // at once

  // A whole answer.
  static Reply ok(const std::string& body, const std::string& headers = "") {
    return {"HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
  }
  static std::string body_of(const std::string& request) {
    const size_t at = request.find("\r\n\r\n");
    return at == std::string::npos ? "" : request.substr(at + 4);
  }

 private:
  void accept_all() {
    for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_.push_back(fd);
      ++connections_;
      most_.store(std::max(most_.load(), static_cast<int>(open_.size())));
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }
  void serve(int fd) {
    std::string got;
    while (read_request(fd, got)) {
      const Reply reply = handler_(got);
      for (size_t sent = 0; sent < reply.bytes.size();) {
        const ssize_t n = ::send(fd, reply.bytes.data() + sent, reply.bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<size_t>(n);
      }
      if (reply.close) break;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), fd));
    ::close(fd);
  }
  // One request, head and body; false at the end of the connection.
  static bool read_request(int fd, std::string& got) {
    got.clear();
    char bytes[4096];
    while (true) {
      if (const size_t head = got.find("\r\n\r\n"); head != std::string::npos) {
        const size_t at = got.find("Content-Length: ");
        const size_t body = at < head ? std::strtoull(got.c_str() + at + 16, nullptr, 10) : 0;
        if (got.size() >= head + 4 + body) return true;
      }
      const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0) return false;
      got.append(bytes, static_cast<size_t>(n));
    }
  }

  const Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<int> connections_{0}, most_{0};
  std::mutex mutex_;
  std::vector<int> open_;             // guarded by mutex_
  std::vector<std::thread> threads_;  // of accepting_, until it has ended
  std::thread accepting_;
};

}  // namespace tracer
