// Bytes in, requests out: the strict head check, Beast's parser and the limits, without any socket.
//
// Belongs to one connection. After a rejection the reader is spent: the bytes that follow have no
// known meaning.
#pragma once

#include "backends/contract/error.h"
#include "config/settings.h"
#include "gateway/http/counters.h"
#include "gateway/http/head_check.h"
#include "gateway/http/message.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::http {

class RequestReader {
 public:
  enum class Step {
    more,      // Everything useful was taken; give more bytes behind what was not.
    head,      // The head is complete and accepted; call again for the body.
    complete,  // take() has a request.
    rejected,  // rejection() says why.
  };

  struct Rejection {
    Reject reason = Reject::malformed_line;
    Error error;
  };

  // The most bytes of a body that its route takes piece by piece; nothing: bodies are held, up to
  // the server's limit. `head` is a request without its body.
  using StreamedBodyMax = std::function<std::optional<std::uint64_t>(const Request& head)>;

  // Leave to send a large body of at most so many bytes, kept until it is read; or why nobody wants
  // it.
  using Leave = std::shared_ptr<const void>;
  using AdmitBody = std::function<Result<Leave>(const Request& head, std::uint64_t bytes)>;

  // `spoken_header`: see ServerOptions.
  explicit RequestReader(const config::ServerLimits& limits, StreamedBodyMax streamed_body_max = {},
                         AdmitBody admit_body = {}, std::string_view spoken_header = {});
  ~RequestReader();

  // Looks at `bytes`, the unread bytes of the connection, and sets `taken` to how many of them are
  // done with.
  Step feed(std::string_view bytes, std::size_t& taken);

  // Some byte of a request has been seen, but not all.
  bool in_request() const;
  // The head is read and the body is not.
  bool in_body() const;
  // The body of the request in hand comes piece by piece: take() once the head is there, and
  // take_piece() after each feed() until in_body() is false.
  bool streams() const;
  // The client waits for "100 Continue". Requires: feed() returned head.
  bool expects_continue() const;
  // The request was HTTP/1.0: no chunked answer.
  bool http_1_0() const;
  // The client allows another request on this connection.
  bool keep_alive() const;

  // The request without id, peer and arrival; the reader is ready for the next one, and the facts
  // above stay until its head is there. Requires: feed() returned complete, or head of one that
  // streams().
  Request take();

  // What has come of the body since the last call. Requires: streams().
  std::string take_piece();

  const Rejection& rejection() const { return rejection_; }

  // Of the last request whose head was read; empty while that of another one is.
  const std::string& path() const { return path_; }
  const std::string& spoken() const { return spoken_; }

 private:
  class Parser;

  Step feed_head(std::string_view bytes, std::size_t& taken);
  Step feed_body(std::string_view bytes, std::size_t& taken);
  Step accept_head(std::string_view head);
  Step reject(Reject reason, Errc code, std::string_view why);
  Step reject_body_size();
  bool is_unwelcome(std::uint64_t bytes);

  const config::ServerLimits limits_;
  const StreamedBodyMax streamed_body_max_;
  const AdmitBody admit_body_;
  const std::string_view spoken_header_;
  Leave leave_;                 // Of the body that is being read,
  std::uint64_t allowed_ = 0;   // …for so many bytes,
  std::uint64_t received_ = 0;  // …of which so many came, chunks' heads among them.
  std::uint64_t body_bytes_max_ = 0;
  bool streams_ = false;
  HeadScanner scanner_;
  HeadFacts facts_;
  std::unique_ptr<Parser> parser_;
  Rejection rejection_;
  std::string path_;
  std::string spoken_;
  bool in_head_ = false;
  bool in_body_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = true;
};

}  // namespace spillway::http
