// `tracer run` over TLS, and over HTTP/2 through a proxy (nghttpx) in front of the mock.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <thread>

#include "tests/host/cli_process.h"
#include "tests/host/mock_server.h"

namespace tracer {
namespace {

// A key and a certificate of 127.0.0.1 that signs itself.
void write_certificate(const std::string& cert_path, const std::string& key_path) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> cert(X509_new(), X509_free);
  ASSERT_TRUE(key && cert);
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86400);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  for (const auto& [nid, value] :
       {std::pair(NID_subject_alt_name, "IP:127.0.0.1"), {NID_basic_constraints, "CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    ASSERT_NE(extension, nullptr);
    X509_add_ext(cert.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  ASSERT_GT(X509_sign(cert.get(), key.get(), EVP_sha256()), 0);
  FILE* out = std::fopen(cert_path.c_str(), "w");
  ASSERT_NE(out, nullptr);
  PEM_write_X509(out, cert.get());
  std::fclose(out);
  out = std::fopen(key_path.c_str(), "w");
  ASSERT_NE(out, nullptr);
  PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
}

class CliRunTlsTest : public CliTest {
 protected:
  void SetUp() override {
    SmallLog log;
    log.noise = 1.2;
    write_log(folder, "log", log);
    const Outcome o = run({"fit", "log.jsonl", "--alpha", "0.8", "-o", "p", "--quiet"});
    ASSERT_EQ(o.code, 0) << o.err;
    log.rows = 300, log.seed = 2;
    write_log(folder, "q", log);
    write_certificate(folder.path("cert.pem"), folder.path("key.pem"));
  }
  Outcome ask(const std::string& address, std::vector<std::string> more) {
    std::vector<std::string> a = {"run",         "p", "q.jsonl",      "-o",  "out.jsonl", "--llm-url", address + "/v1",
                                  "--llm-model", "m", "--audit-rate", "0.3", "--quiet",   "--resume"};
    a.insert(a.end(), more.begin(), more.end());
    return run(a);
  }
};

TEST_F(CliRunTlsTest, AnUnknownCertificateIsRefusedAndAKnownOneTaken) {
  MockLlm mock({"--tls-cert", folder.path("cert.pem"), "--tls-key", folder.path("key.pem")});
  Outcome o = ask(mock.address("https"), {"--give-up-seconds", "1", "--concurrency", "2"});
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_NE(o.err.find("certificate"), std::string::npos) << o.err;
  o = ask(mock.address("https"), {"--ca-file", folder.path("cert.pem")});
  EXPECT_EQ(o.code, 0) << o.err;
}

TEST_F(CliRunTlsTest, Http2WhereTheServerHasIt) {
  MockLlm mock;
  // A port that was free a moment ago.
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(probe, reinterpret_cast<struct sockaddr*>(&at), size), 0);
  ASSERT_EQ(::getsockname(probe, reinterpret_cast<struct sockaddr*>(&at), &size), 0);
  ::close(probe);
  const std::string port = std::to_string(ntohs(at.sin_port));
  const std::string front = "-f127.0.0.1," + port, back = "-b127.0.0.1," + mock.port();
  const std::string key = folder.path("key.pem"), cert = folder.path("cert.pem");
  const pid_t proxy = ::fork();
  if (proxy == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 1), ::dup2(null, 2);
    ::execlp("nghttpx", "nghttpx", front.c_str(), back.c_str(), "--conf=/dev/null", "--single-process", key.c_str(),
             cert.c_str(), nullptr);
    ::_exit(98);
  }
  for (int i = 0; i < 200; ++i) {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const bool up = ::connect(s, reinterpret_cast<struct sockaddr*>(&at), sizeof at) == 0;
    ::close(s);
    if (up) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Outcome o = ask("https://127.0.0.1:" + port, {"--ca-file", cert});
  ::kill(proxy, SIGKILL);
  ::waitpid(proxy, nullptr, 0);
  EXPECT_EQ(o.code, 0) << o.err;
  const auto stats = mock.stats();
  EXPECT_GT(stats["answers"], 50);
  EXPECT_EQ(stats["over_http2"], stats["requests"]);
}

}  // namespace
}  // namespace tracer
