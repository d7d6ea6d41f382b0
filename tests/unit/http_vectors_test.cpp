// Requests that servers read differently, and what this one makes of each: the strict reader
// accepts only what everybody reads the same way. Prints what Boost's own parser would have let
// through.
#include "gateway/http/request_reader.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <gtest/gtest.h>

#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::http {
namespace {

namespace beast = boost::beast;

struct Vector {
  std::string name;
  std::string bytes;
  std::optional<Reject> refused;  // Nothing: accepted.
};

std::string post(const std::string& headers, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body;
}

std::string get(const std::string& headers) { return "GET / HTTP/1.1\r\n" + headers + "\r\n"; }

std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}

using R = Reject;

const std::vector<Vector> kVectors = {
    // Lengths.
    {"content-length and chunked",
     post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
     R::bad_transfer_encoding},
    {"chunked and content-length",
     post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
     R::bad_transfer_encoding},
    {"duplicate equal content-length", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
     R::bad_content_length},
    {"duplicate different content-length",
     post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), R::bad_content_length},
    {"content-length list", post("Content-Length: 5, 5\r\n", "hello"), R::bad_content_length},
    {"content-length with plus", post("Content-Length: +5\r\n", "hello"), R::bad_content_length},
    {"content-length negative", post("Content-Length: -5\r\n", "hello"), R::bad_content_length},
    {"content-length hexadecimal", post("Content-Length: 0x5\r\n", "hello"), R::bad_content_length},
    {"content-length empty", post("Content-Length: \r\n", ""), R::bad_content_length},
    {"content-length over 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello"),
     R::bad_content_length},
    // Transfer codings.
    {"gzip with content-length", post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello"),
     R::bad_transfer_encoding},
    {"identity with content-length",
     post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"),
     R::bad_transfer_encoding},
    {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), R::bad_transfer_encoding},
    {"chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
     R::bad_transfer_encoding},
    {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
     R::bad_transfer_encoding},
    {"chunked twice",
     post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
     R::bad_transfer_encoding},
    {"chunked behind a vertical tab", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"),
     R::control_character},
    {"HTTP/1.0 chunked",
     "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     R::bad_transfer_encoding},
    // Lines and names.
    {"folded header", get("Host: a\r\nX-A: b\r\n c\r\n"), R::control_character},
    {"folded first header", get(" Host: a\r\n"), R::control_character},
    {"space before colon", get("Host : a\r\n"), R::malformed_line},
    {"header without colon", get("Host: a\r\nX-A\r\n"), R::malformed_line},
    {"empty header name", get("Host: a\r\n: b\r\n"), R::malformed_line},
    {"bare LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n", R::control_character},
    {"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", R::control_character},
    {"bare CR in a value", get("Host: a\r\nX-A: b\rc\r\n"), R::control_character},
    {"NUL in a value", get("Host: a\r\nX-A: b" + std::string(1, '\0') + "c\r\n"),
     R::control_character},
    {"underscore twin of content-length", post("Content_Length: 5\r\n", ""), R::confusing_name},
    {"underscore twin of transfer-encoding", post("Transfer_Encoding: chunked\r\n", ""),
     R::confusing_name},
    {"one of ours twice", get("Host: a\r\nX-Spillway-Label: b\r\nx-spillway-label: b\r\n"),
     R::confusing_name},
    {"non-ASCII header name", get("Host: a\r\nX-\xC3\xA9: b\r\n"), R::malformed_line},
    // Host and the request line.
    {"missing host", get("X-A: b\r\n"), R::bad_host},
    {"duplicate host", get("Host: a\r\nHost: a\r\n"), R::bad_host},
    {"empty host", get("Host:\r\n"), R::bad_host},
    {"two hosts in one", get("Host: a, b\r\n"), R::bad_host},
    {"host with a path", get("Host: a/b\r\n"), R::bad_host},
    {"two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", R::malformed_line},
    {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", R::malformed_line},
    {"HTTP/0.9", "GET /\r\n\r\n", R::malformed_line},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", R::malformed_line},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", R::malformed_line},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::malformed_line},
    {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10), R::malformed_line},
    {"authority form", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", R::bad_target},
    {"broken escape in the target", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", R::bad_target},
    {"NUL escape in the target", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", R::bad_target},
    {"raw non-ASCII target", "GET /\xC3\xA9 HTTP/1.1\r\nHost: a\r\n\r\n", R::malformed_line},
    {"expectation nobody has", post("Expect: 200-ok\r\n", ""), R::bad_expectation},
    // Chunks.
    {"LF inside a quoted chunk extension", chunked("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
     R::bad_chunk},
    {"chunk extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"extension on the last chunk", chunked("5\r\nhello\r\n0;a=b\r\n\r\n"), R::bad_chunk},
    {"space behind the chunk size", chunked("5 \r\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"hexadecimal prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"negative chunk size", chunked("-5\r\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"chunk size over 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"bare LF after a chunk size", chunked("5\nhello\r\n0\r\n\r\n"), R::bad_chunk},
    {"no line end behind a chunk", chunked("5\r\nhelloXX0\r\n\r\n"), R::bad_chunk},
    {"trailer", chunked("5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"), R::bad_chunk},
    {"long line without a chunk", chunked(std::string(100, '0') + "\r\n"), R::bad_chunk},
    // What must pass.
    {"plain GET", get("Host: a\r\n"), std::nullopt},
    {"two of ours, and another's twice",
     get("Host: a\r\nX-Spillway-Label: b\r\nX-Spillway-Class: b\r\nX-A: b\r\nX-A: b\r\n"),
     std::nullopt},
    {"content-length body", post("Content-Length: 5\r\n", "hello"), std::nullopt},
    {"chunked body", chunked("5\r\nhello\r\n0\r\n\r\n"), std::nullopt},
    {"chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
     std::nullopt},
    {"upper case chunk size", chunked("A\r\n0123456789\r\n0\r\n\r\n"), std::nullopt},
    {"line end before the request", "\r\n" + get("Host: a\r\n"), std::nullopt},
    {"HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n", std::nullopt},
    {"host with a port", get("Host: 127.0.0.1:8080\r\n"), std::nullopt},
    {"IPv6 host", get("Host: [::1]:8080\r\n"), std::nullopt},
    {"absolute form", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", std::nullopt},
    {"underscore in a name of one's own", get("Host: a\r\nMy_Header: b\r\n"), std::nullopt},
    {"empty value, tabs and obs-text", get("Host: a\r\nX-A:\r\nX-B: \tb\xC3\xA9\t\r\n"),
     std::nullopt},
};

std::optional<Reject> read_whole(const std::string& bytes, std::size_t piece,
                                 std::string& problem) {
  config::ServerLimits limits;
  RequestReader reader(limits);
  std::string unread;
  std::size_t sent = 0;
  while (true) {
    std::size_t taken = 0;
    const auto step = reader.feed(unread, taken);
    unread.erase(0, taken);
    if (step == RequestReader::Step::rejected) return reader.rejection().reason;
    if (step == RequestReader::Step::complete) break;
    if (step == RequestReader::Step::head) continue;
    if (sent == bytes.size()) {
      problem = "wants more than the whole request";
      return std::nullopt;
    }
    unread += bytes.substr(sent, piece);
    sent = std::min(sent + piece, bytes.size());
  }
  if (!unread.empty() || sent < bytes.size()) problem = "ends before the request does";
  return std::nullopt;
}

bool boost_accepts(const std::string& bytes) {
  beast::http::request_parser<beast::http::string_body> parser;
  parser.eager(true);
  beast::error_code error;
  parser.put(boost::asio::buffer(bytes), error);
  return !error && parser.is_done();
}

class Vectors : public testing::TestWithParam<std::size_t> {};

TEST_P(Vectors, AreReadTheSameWayInAnyPieces) {
  for (const Vector& vector : kVectors) {
    std::string problem;
    const auto refused = read_whole(vector.bytes, GetParam(), problem);
    EXPECT_EQ(problem, "") << vector.name;
    EXPECT_EQ(refused.has_value(), vector.refused.has_value()) << vector.name;
    if (refused && vector.refused) {
      EXPECT_EQ(name_of(*refused), name_of(*vector.refused)) << vector.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pieces, Vectors, testing::Values(1, 2, 3, 7, 64, 100'000));

TEST(VectorsOfBoost, ArePrintedWhereTheyDiffer) {
  int refused = 0, let_through = 0;
  for (const Vector& vector : kVectors) {
    if (!vector.refused) continue;
    ++refused;
    if (!boost_accepts(vector.bytes)) continue;
    ++let_through;
    std::cout << "Beast alone lets through: " << vector.name << "\n";
  }
  std::cout << "Beast alone lets through " << let_through << " of " << refused
            << " requests that are refused here\n";
  EXPECT_GT(let_through, 0) << "if Boost has become strict, the head check may go";
}

}  // namespace
}  // namespace spillway::http
