#include "gateway/http/session_writer.h"

#include "gateway/http/gzip.h"

#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <utility>

namespace spillway::http {
namespace net = boost::asio;

namespace {

constexpr std::string_view kCommentChunk = "e\r\n: keep-alive\n\n\r\n";
// Below it there is little to gain.
constexpr std::size_t kGzipBytesMin = 1 << 10;
// Above it all others on the worker would wait for it.
constexpr std::size_t kGzipBytesMax = 1 << 20;
constexpr std::string_view kChunkEnd = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::string_view kChunkEndAndLast = "\r\n0\r\n\r\n";

net::const_buffer piece(std::string_view text) { return net::buffer(text.data(), text.size()); }

bool has_no_body(int status) { return status == 204 || status == 304; }

// RFC 9112 7.1: the chunk's size in hexadecimal and a line end.
struct ChunkSize {
  explicit ChunkSize(std::size_t size) {
    char* end = std::to_chars(text.data(), text.data() + text.size() - 2, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    length = static_cast<std::size_t>(end - text.data());
  }
  std::string_view view() const { return {text.data(), length}; }

  std::array<char, 20> text{};
  std::size_t length = 0;
};

}  // namespace

SessionWriter::SessionWriter(Connection& connection, AnswerRules rules, std::string_view request_id,
                             std::string_view date, const std::atomic<bool>& draining,
                             const SessionBody* body)
    : connection_(connection),
      rules_(rules),
      request_id_(request_id),
      date_(date),
      draining_(draining),
      body_(body) {}

void SessionWriter::set_header(std::string_view name, std::string_view value) {
  assert(!head_sent());
  extra_headers_.append(name).append(": ");
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    extra_headers_.push_back(byte < 0x20 || byte == 0x7f ? ' ' : c);
  }
  extra_headers_.append("\r\n");
}

void SessionWriter::begin_head(int status, std::string_view content_type) {
  status_ = status;
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  head_.reserve(320 + extra_headers_.size());
  head_.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  head_.append(reason.data(), reason.size());
  head_.append("\r\ndate: ").append(date_);
  head_.append("\r\nx-request-id: ").append(request_id_).append("\r\n");
  if (!content_type.empty()) head_.append("content-type: ").append(content_type).append("\r\n");
  head_.append(extra_headers_);
}

void SessionWriter::end_head() {
  if (draining_.load(std::memory_order_relaxed)) rules_.keep_alive = false;
  if (body_ != nullptr && body_->pending()) rules_.keep_alive = false;
  if (!rules_.keep_alive) {
    head_.append("connection: close\r\n");
  } else if (rules_.http_1_0) {
    head_.append("connection: keep-alive\r\n");
  }
  head_.append("\r\n");
}

Async<void> SessionWriter::send(int status, std::string content_type, std::string body) {
  assert(!head_sent());
  const bool packs = body.size() > kGzipBytesMin && body.size() <= kGzipBytesMax;
  if (rules_.gzip && packs && content_type == "application/json") {
    if (std::string packed = gzipped(body); !packed.empty()) {
      body = std::move(packed);
      set_header("content-encoding", "gzip");
      set_header("vary", "accept-encoding");
    }
  }
  begin_head(status, has_no_body(status) ? std::string_view() : content_type);
  if (!has_no_body(status)) {
    head_.append("content-length: ").append(std::to_string(body.size())).append("\r\n");
  }
  end_head();
  const bool bare = rules_.head_only || has_no_body(status);
  const Connection::Pieces pieces = {piece(head_), piece(bare ? std::string_view() : body)};
  const auto sent = co_await connection_.write(pieces);
  if (sent) state_ = State::finished;
  co_return sent;
}

Async<void> SessionWriter::begin_stream() {
  if (state_ != State::streaming) begin_events();  // Else a comment has begun it.
  co_return Result<void>();
}

void SessionWriter::begin_events() {
  assert(!head_sent());
  if (rules_.http_1_0) rules_.keep_alive = false;
  begin_head(200, "text/event-stream");
  head_.append("cache-control: no-cache\r\n");
  chunked_ = !rules_.http_1_0 && !rules_.head_only;
  if (!rules_.http_1_0) head_.append("transfer-encoding: chunked\r\n");
  end_head();
  state_ = State::streaming;
}

void SessionWriter::keep_alive(std::chrono::milliseconds quiet) {
  if (rules_.head_only || rules_.http_1_0) return;
  quiet_ = quiet;
  speak_by_ = SteadyClock::now() + quiet;
}

void SessionWriter::speak_if_due(TimePoint now) {
  const bool whole = state_ == State::nothing && head_sent();
  if (now < speak_by_ || state_ == State::finished || whole) return;
  speak_by_ = now + quiet_;
  if (state_ == State::nothing) begin_events();
  if (!head_.ends_with(kCommentChunk)) head_ += kCommentChunk;
  head_.erase(0, connection_.write_now(head_));
}

Async<void> SessionWriter::begin_file(std::string content_type, std::uint64_t bytes) {
  assert(!head_sent());
  begin_head(200, content_type);
  head_.append("content-length: ").append(std::to_string(bytes)).append("\r\n");
  end_head();
  bytes_left_ = bytes;
  speak_by_ = TimePoint::max();
  state_ = State::streaming;
  co_return Result<void>();
}

Async<void> SessionWriter::write(std::string piece) {
  assert(state_ == State::streaming);
  if (piece.empty() && head_.empty()) co_return Result<void>();
  co_return co_await write_piece(piece, kChunkEnd);
}

Async<void> SessionWriter::end(std::string last_piece) {
  assert(state_ == State::streaming);
  const auto sent =
      co_await write_piece(last_piece, last_piece.empty() ? kLastChunk : kChunkEndAndLast);
  if (sent && bytes_left_ == 0) state_ = State::finished;
  co_return sent;
}

Async<void> SessionWriter::write_piece(std::string_view bytes, std::string_view tail) {
  const std::string head = std::exchange(head_, std::string());
  if (quiet_.count() > 0) speak_by_ = SteadyClock::now() + quiet_;
  const ChunkSize size(bytes.size());
  const bool sized = chunked_ && !bytes.empty();
  const bool ended = chunked_ && (sized || tail == kLastChunk);
  bytes_left_ -= std::min<std::uint64_t>(bytes_left_, bytes.size());
  const Connection::Pieces pieces = {piece(head), piece(sized ? size.view() : std::string_view()),
                                     piece(rules_.head_only ? std::string_view() : bytes),
                                     piece(ended ? tail : std::string_view())};
  co_return co_await connection_.write(pieces);
}

}  // namespace spillway::http
