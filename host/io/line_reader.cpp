#include "host/io/line_reader.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "host/io/file.h"
#include "host/io/sha256.h"

namespace tracer::io {
namespace {

constexpr size_t kMaxChunk = size_t{1} << 18;

}  // namespace

struct LineReader::State {
  std::string name;
  LineReaderOptions options;
  UniqueFd fd;              // either this
  std::string_view memory;  // or this
  bool in_memory = false;
  size_t chunk = kMaxChunk;  // bytes of a buffer

  Sha256 digest;
  bool source_ended = false;
  int64_t raw_bytes = 0;

  enum class Coding { kUnknown, kPlain, kGzip } coding = Coding::kUnknown;
  std::vector<char> packed;  // raw bytes not yet decoded: packed[packed_begin, packed_end)
  size_t packed_begin = 0, packed_end = 0;
  z_stream z{};
  bool z_live = false;     // z is initialised
  bool in_member = false;  // a gzip member has begun and not ended

  std::vector<char> text;  // decoded bytes not yet handed out: text[begin, end), kPadding bytes beyond
  size_t begin = 0, end = 0;
  bool decoded_all = false;
  bool at_start = true;
  int64_t lines = 0;
  Status failed;

  ~State() {
    if (z_live) inflateEnd(&z);
  }

  // Up to n raw bytes into `to`; 0 at the end.
  Result<size_t> read_raw(char* to, size_t n) {
    size_t got = 0;
    if (in_memory) {
      got = std::min(n, memory.size());
      std::memcpy(to, memory.data(), got);
      memory.remove_prefix(got);
    } else {
      ssize_t r;
      do r = ::read(fd.get(), to, n);
      while (r < 0 && errno == EINTR);
      if (r < 0) return errno_error(name, "cannot read", errno);
      got = static_cast<size_t>(r);
    }
    if (got == 0) source_ended = true;
    raw_bytes += static_cast<int64_t>(got);
    if (options.digest) digest.update({to, got});
    return got;
  }

  // Makes `packed` hold at least `want` bytes unless the source ends first.
  Status fill_packed(size_t want) {
    if (packed.empty()) packed.resize(chunk);
    if (packed_begin > 0) {
      std::memmove(packed.data(), packed.data() + packed_begin, packed_end - packed_begin);
      packed_end -= packed_begin;
      packed_begin = 0;
    }
    while (packed_end < want && !source_ended) {
      Result<size_t> got = read_raw(packed.data() + packed_end, packed.size() - packed_end);
      if (!got.ok()) return got.status();
      packed_end += *got;
    }
    return {};
  }

  Status choose_coding() {
    TRACER_RETURN_IF_ERROR(fill_packed(2));
    const bool gzip = packed_end >= 2 && packed[0] == '\x1f' && packed[1] == '\x8b';
    coding = gzip ? Coding::kGzip : Coding::kPlain;
    if (!gzip) return {};
    if (inflateInit2(&z, 15 + 16) != Z_OK) return io_error(name + ": cannot start decompression: out of memory");
    z_live = true;
    in_member = true;
    return {};
  }

  // Decodes up to n > 0 bytes into `to`; 0 only at the end.
  Result<size_t> decode(char* to, size_t n) {
    if (coding == Coding::kUnknown) TRACER_RETURN_IF_ERROR(choose_coding());
    if (coding == Coding::kGzip) return inflate_some(to, n);
    if (packed_begin == packed_end) return read_raw(to, n);
    size_t k = std::min(n, packed_end - packed_begin);
    std::memcpy(to, packed.data() + packed_begin, k);
    packed_begin += k;
    return k;
  }

  Result<size_t> inflate_some(char* to, size_t n) {
    for (;;) {
      if (packed_begin == packed_end) TRACER_RETURN_IF_ERROR(fill_packed(1));
      if (packed_begin == packed_end) {
        if (in_member) return bad_input(name + ": the gzip stream is truncated");
        return size_t{0};
      }
      if (!in_member) {
        if (packed[packed_begin] == 0) {  // padding after a member, as tape and block devices leave it
          ++packed_begin;
          continue;
        }
        if (packed[packed_begin] != '\x1f') return bad_input(name + ": bytes that are not gzip after a gzip stream");
        inflateReset(&z);
        in_member = true;
      }
      z.next_in = reinterpret_cast<Bytef*>(packed.data() + packed_begin);
      z.avail_in = static_cast<uInt>(packed_end - packed_begin);
      z.next_out = reinterpret_cast<Bytef*>(to);
      z.avail_out = static_cast<uInt>(std::min(n, chunk));
      const uInt room = z.avail_out;
      const int code = inflate(&z, Z_NO_FLUSH);
      packed_begin = packed_end - z.avail_in;
      if (code == Z_STREAM_END) in_member = false;
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return bad_input(name + ": the gzip stream is damaged: " + (z.msg != nullptr ? z.msg : "unknown reason"));
      }
      if (z.avail_out != room) return static_cast<size_t>(room - z.avail_out);
    }
  }

  // Appends decoded bytes to `text`.
  Status fill_text() {
    if (begin > 0) {
      std::memmove(text.data(), text.data() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    if (text.size() < end + chunk / 4 + kPadding) text.resize(std::max(2 * text.size(), chunk + kPadding));
    Result<size_t> got = decode(text.data() + end, text.size() - kPadding - end);
    if (!got.ok()) return got.status();
    end += *got;
    decoded_all = *got == 0;
    return {};
  }

  Status drop_mark() {
    at_start = false;
    while (end - begin < 3 && !decoded_all) TRACER_RETURN_IF_ERROR(fill_text());
    const std::string_view head(text.data() + begin, std::min<size_t>(end - begin, 3));
    if (head == "\xEF\xBB\xBF") begin += 3;
    if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) {
      return bad_input(name + ": the text is UTF-16; expected UTF-8");
    }
    return {};
  }

  Result<bool> next(Line& line) {
    if (at_start) TRACER_RETURN_IF_ERROR(drop_mark());
    const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_line_bytes, 0));
    bool dropping = false;
    size_t searched = 0;  // bytes from begin known to hold no line feed
    const char* feed = nullptr;
    for (;;) {
      if (end > begin + searched) {
        feed = static_cast<const char*>(std::memchr(text.data() + begin + searched, '\n', end - begin - searched));
      }
      if (feed != nullptr || decoded_all) break;
      searched = end - begin;
      if (searched > limit + 1) {  // one more than the limit may be the "\r"
        dropping = true;
        begin = end;
        searched = 0;
      }
      TRACER_RETURN_IF_ERROR(fill_text());
    }
    if (feed == nullptr && begin == end && !dropping) return false;
    const char* start = text.data() + begin;
    size_t size = feed != nullptr ? static_cast<size_t>(feed - start) : end - begin;
    begin += size + (feed != nullptr ? 1 : 0);
    if (size > 0 && start[size - 1] == '\r') --size;
    line = {{start, size}, ++lines, LineProblem::kNone};
    if (dropping || size > limit) {
      line.text = {};
      line.problem = LineProblem::kTooLong;
    } else if (size > 0 && std::memchr(start, 0, size) != nullptr) {
      line.problem = LineProblem::kNul;
    }
    return true;
  }
};

LineReader::LineReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;

Result<LineReader> LineReader::open(const std::string& path, const LineReaderOptions& options) {
  auto state = std::make_unique<State>();
  state->name = path == "-" ? "standard input" : path;
  state->options = options;
  if (path == "-") {
    state->fd = UniqueFd(STDIN_FILENO, /*owned=*/false);
  } else {
    Result<UniqueFd> fd = open_for_reading(path);
    if (!fd.ok()) return fd.status();
    state->fd = std::move(*fd);
  }
  return LineReader(std::move(state));
}

LineReader LineReader::from_memory(std::string_view bytes, std::string name, const LineReaderOptions& options) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->options = options;
  state->memory = bytes;
  state->in_memory = true;
  state->chunk = std::clamp(bytes.size(), size_t{64}, kMaxChunk);
  return LineReader(std::move(state));
}

Result<bool> LineReader::next(Line& line) {
  if (!state_->failed.ok()) return state_->failed;
  Result<bool> more = state_->next(line);
  if (!more.ok()) state_->failed = more.status();
  return more;
}

std::string LineReader::sha256() const { return state_->options.digest ? state_->digest.hex() : ""; }
const std::string& LineReader::name() const { return state_->name; }
int64_t LineReader::raw_bytes() const { return state_->raw_bytes; }

}  // namespace tracer::io
