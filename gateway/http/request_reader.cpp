#include "gateway/http/request_reader.h"

#include "gateway/http/server.h"
#include "gateway/http/target.h"

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace spillway::http {
namespace beast = boost::beast;

namespace {

// A chunk's size line and the line end before it; more than that without a chunk is no chunk.
constexpr std::size_t kChunkLineMax = 64;
// Trusted from a Content-Length before the bytes are there.
constexpr std::size_t kBodyReserveMax = 256 << 10;

void append_lower(std::string& out, std::string_view text) {
  for (char c : text) out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Beast's parser writing straight into a Request, so that no header is stored twice.
class RequestReader::Parser final : public beast::http::basic_parser<true> {
 public:
  Parser() {
    body_limit(boost::none);  // Ours answer with their own errors.
    header_limit(1 << 30);
    request_.headers.reserve(16);
  }

  const Request& request() const { return request_; }
  Request take() { return std::exchange(request_, Request()); }
  std::string take_piece() { return std::exchange(request_.body, std::string()); }
  void limit(std::uint64_t body_bytes_max) { body_bytes_max_ = body_bytes_max; }
  bool body_too_large() const { return body_too_large_; }
  bool target_refused() const { return target_refused_; }
  bool http_1_0() const { return version_ < 11; }
  void reserve_body(std::uint64_t length) {
    request_.body.reserve(std::min<std::uint64_t>(length, kBodyReserveMax));
  }

 private:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, beast::error_code& ec) override {
    version_ = version;
    request_.method = view(method);
    auto parsed = http::parse_target(view(target));
    target_refused_ = !parsed;
    if (!parsed) {
      ec = beast::http::error::bad_target;
      return;
    }
    request_.path = std::move(parsed->path);
    request_.query = std::move(parsed->query);
  }

  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}

  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& ec) override {
    if (head_done_) {  // A trailer: nobody here reads one, and it may contradict the head.
      ec = beast::http::error::bad_field;
      return;
    }
    Header& header = request_.headers.emplace_back();
    append_lower(header.name, view(name));
    header.value = view(value);
  }

  void on_header_impl(beast::error_code&) override { head_done_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}

  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    return receive(body);
  }

  void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions,
                            beast::error_code& ec) override {
    if (!extensions.empty()) {
      ec = beast::http::error::bad_chunk_extension;
      return;
    }
    body_too_large_ = size > body_bytes_max_ - received_;
    if (body_too_large_) ec = beast::http::error::body_limit;
  }

  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body,
                                 beast::error_code&) override {
    return receive(body);
  }

  void on_finish_impl(beast::error_code&) override {}

  std::size_t receive(beast::string_view body) {
    request_.body.append(body.data(), body.size());
    received_ += body.size();
    return body.size();
  }

  std::uint64_t body_bytes_max_ = 0;
  std::uint64_t received_ = 0;
  Request request_;
  int version_ = 11;
  bool head_done_ = false;
  bool body_too_large_ = false;
  bool target_refused_ = false;
};

RequestReader::RequestReader(const config::ServerLimits& limits, StreamedBodyMax streamed_body_max,
                             AdmitBody admit_body, std::string_view spoken_header)
    : limits_(limits),
      streamed_body_max_(std::move(streamed_body_max)),
      admit_body_(std::move(admit_body)),
      spoken_header_(spoken_header) {}
RequestReader::~RequestReader() = default;

bool RequestReader::in_request() const { return in_head_ || in_body_; }
bool RequestReader::in_body() const { return in_body_; }
bool RequestReader::streams() const { return streams_; }
bool RequestReader::expects_continue() const { return facts_.expects_continue && !http_1_0_; }
bool RequestReader::http_1_0() const { return http_1_0_; }
bool RequestReader::keep_alive() const { return keep_alive_; }

RequestReader::Step RequestReader::feed(std::string_view bytes, std::size_t& taken) {
  taken = 0;
  return in_body_ ? feed_body(bytes, taken) : feed_head(bytes, taken);
}

RequestReader::Step RequestReader::feed_head(std::string_view bytes, std::size_t& taken) {
  if (!in_head_ &&
      bytes.starts_with("\r\n")) {  // Some clients end a body with a line end too many.
    taken = 2;
    bytes.remove_prefix(2);
  }
  if (bytes.empty() || (!in_head_ && bytes == "\r")) return Step::more;
  if (!in_head_) {
    path_.clear();
    spoken_.clear();
  }
  in_head_ = true;
  const auto state = scanner_.scan(bytes);
  if (state == HeadScanner::State::bare_line_end) {
    return reject(Reject::control_character, Errc::invalid_request,
                  "a line of the request head does not end with CR LF");
  }
  const bool found = state == HeadScanner::State::found;
  const auto size = found ? scanner_.head_size() : bytes.size();
  if (size > static_cast<std::size_t>(limits_.header_bytes_max)) {
    const auto limit = std::to_string(limits_.header_bytes_max);
    return reject(Reject::headers_too_large, Errc::headers_too_large,
                  "the request's headers are larger than " + limit + " bytes");
  }
  if (!found) return Step::more;
  taken += size;
  return accept_head(bytes.substr(0, size));
}

RequestReader::Step RequestReader::accept_head(std::string_view head) {
  const HeadVerdict verdict = check_head(head);
  if (verdict.reject) {
    const bool large = *verdict.reject == Reject::headers_too_large;
    return reject(*verdict.reject, large ? Errc::headers_too_large : Errc::invalid_request,
                  verdict.why);
  }
  facts_ = verdict.facts;
  parser_ = std::make_unique<Parser>();
  beast::error_code ec;
  parser_->put(boost::asio::buffer(head), ec);
  if (parser_->target_refused()) {
    return reject(Reject::bad_target, Errc::invalid_request, "the request target is not a path");
  }
  if (ec) return reject(Reject::malformed_line, Errc::invalid_request, "the request is not HTTP");
  path_ = parser_->request().path;
  if (!spoken_header_.empty()) spoken_ = parser_->request().header(spoken_header_);
  std::optional<std::uint64_t> streamed_max;
  if (streamed_body_max_) streamed_max = streamed_body_max_(parser_->request());
  streams_ = streamed_max.has_value();
  body_bytes_max_ = streamed_max.value_or(static_cast<std::uint64_t>(limits_.body_bytes_max));
  if (facts_.content_length.value_or(0) > body_bytes_max_) return reject_body_size();
  allowed_ = received_ = 0;
  const bool is_chunked = !parser_->is_done() && !facts_.content_length;
  const auto expected = facts_.content_length.value_or(is_chunked ? kSmallBody : 0);
  if (is_unwelcome(expected)) return Step::rejected;
  parser_->limit(body_bytes_max_);
  http_1_0_ = parser_->http_1_0();
  keep_alive_ = parser_->keep_alive();
  scanner_.reset();
  in_head_ = false;
  in_body_ = !streams_ || !parser_->is_done();
  if (!streams_) parser_->reserve_body(facts_.content_length.value_or(0));
  return parser_->is_done() ? Step::complete : Step::head;
}

// Routes that take a body piece by piece look for themselves, and small ones are no burden; but one
// in chunks may become large, and then has leave for as much as there may be.
bool RequestReader::is_unwelcome(std::uint64_t bytes) {
  const bool is_small = facts_.content_length ? bytes <= kSmallBody : bytes < kSmallBody;
  if (streams_ || is_small || bytes <= allowed_ || !admit_body_) return false;
  auto leave = admit_body_(parser_->request(), bytes);
  if (!leave) rejection_ = {Reject::unwelcome, leave.error()};
  if (leave) leave_ = std::move(*leave);
  allowed_ = bytes;
  return !leave;
}

RequestReader::Step RequestReader::feed_body(std::string_view bytes, std::size_t& taken) {
  while (taken < bytes.size() && !parser_->is_done()) {
    const std::string_view rest = bytes.substr(taken);
    beast::error_code ec;
    const std::size_t put = parser_->put(boost::asio::buffer(rest), ec);
    taken += put;
    received_ += put;
    if (parser_->body_too_large()) return reject_body_size();
    if (received_ > allowed_ && received_ > kSmallBody && is_unwelcome(body_bytes_max_))
      return Step::rejected;
    if (ec == beast::http::error::need_more && bytes.size() - taken <= kChunkLineMax) break;
    if (ec)
      return reject(Reject::bad_chunk, Errc::invalid_request, "the chunked body is malformed");
  }
  if (!parser_->is_done()) return Step::more;
  in_body_ = !streams_;
  return Step::complete;
}

Request RequestReader::take() {
  if (!streams_) in_body_ = false;
  leave_.reset();
  return parser_->take();
}

std::string RequestReader::take_piece() { return parser_->take_piece(); }

RequestReader::Step RequestReader::reject(Reject reason, Errc code, std::string_view why) {
  rejection_ = {reason, Error{code, std::string(why), "", std::nullopt}};
  return Step::rejected;
}

RequestReader::Step RequestReader::reject_body_size() {
  const auto limit = std::to_string(body_bytes_max_);
  return reject(Reject::body_too_large, Errc::payload_too_large,
                "the request body is larger than " + limit + " bytes");
}

}  // namespace spillway::http
