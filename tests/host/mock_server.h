// mock_llm (tests/mock_llm) as a process of its own.
#pragma once

#include <curl/curl.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tracer {

class MockLlm {
 public:
  // The labels are those of write_log: "label 0" and so on.
  explicit MockLlm(std::vector<std::string> faults = {}) {
    const char* binary = std::getenv("TRACER_TEST_MOCK");
    EXPECT_NE(binary, nullptr) << "run the tests through ctest";
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], 1);
      std::vector<char*> argv = {const_cast<char*>(binary), const_cast<char*>("--labels"),
                                 const_cast<char*>("label 0,label 1,label 2,label 3")};
      for (const std::string& fault : faults) argv.push_back(const_cast<char*>(fault.c_str()));
      argv.push_back(nullptr);
      ::execv(binary, argv.data());
      ::_exit(98);
    }
    ::close(ends[1]);
    std::string line;
    for (char c; ::read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    ::close(ends[0]);
    port_ = line;
    EXPECT_FALSE(port_.empty()) << "mock_llm did not start";
  }
  ~MockLlm() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  MockLlm(const MockLlm&) = delete;
  MockLlm& operator=(const MockLlm&) = delete;

  std::string address(const std::string& scheme = "http") const { return scheme + "://127.0.0.1:" + port_; }
  const std::string& port() const { return port_; }

  nlohmann::json stats() const {
    std::string body;
    CURL* easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, (address() + "/stats").c_str());
    curl_easy_setopt(
        easy, CURLOPT_WRITEFUNCTION, +[](char* data, size_t, size_t n, void* to) {
          static_cast<std::string*>(to)->append(data, n);
          return n;
        });
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    EXPECT_EQ(code, CURLE_OK) << curl_easy_strerror(code);
    return nlohmann::json::parse(body);
  }

 private:
  pid_t pid_ = -1;
  std::string port_;
};

}  // namespace tracer
