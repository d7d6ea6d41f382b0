// The reader's limits, each at the limit and one past it, and what it hands over.
#include "gateway/http/request_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::http {
namespace {

using Step = RequestReader::Step;

struct Outcome {
  Step step = Step::more;
  std::size_t taken = 0;
};

// Feeds all of `bytes` at once, through the head and into the body.
Outcome read(RequestReader& reader, const std::string& bytes) {
  Outcome outcome;
  do {
    std::size_t taken = 0;
    outcome.step = reader.feed(std::string_view(bytes).substr(outcome.taken), taken);
    outcome.taken += taken;
  } while (outcome.step == Step::head);
  return outcome;
}

config::ServerLimits small_limits() {
  config::ServerLimits limits;
  limits.header_bytes_max = 200;
  limits.body_bytes_max = 10;
  return limits;
}

std::string head_of_size(std::size_t size) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", end = "\r\n\r\n";
  return start + std::string(size - start.size() - end.size(), 'x') + end;
}

TEST(RequestReader, HandsOverTheWholeRequest) {
  config::ServerLimits limits;
  RequestReader reader(limits);
  const std::string bytes =
      "POST /v1/models/org%2Fname?x=%31 HTTP/1.1\r\nHost: a\r\nX-Mixed-CASE:  two words \r\n"
      "Authorization: bEaReR My API Key\r\nContent-Length: 5\r\n\r\nhelloGET";
  const auto outcome = read(reader, bytes);
  ASSERT_EQ(outcome.step, Step::complete);
  EXPECT_EQ(bytes.size() - outcome.taken, 3u);
  const Request request = reader.take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/models/org/name");
  EXPECT_EQ(request.query, "x=%31");
  EXPECT_EQ(request.parameter("x"), "1");
  EXPECT_EQ(request.parameter("y"), "");
  EXPECT_EQ(request.header("x-mixed-case"), "two words");
  EXPECT_EQ(request.header("absent"), "");
  EXPECT_EQ(request.bearer_token(), "My API Key");
  EXPECT_EQ(request.api_key(), "My API Key");
  EXPECT_EQ(request.body, "hello");
  EXPECT_TRUE(reader.keep_alive());
}

TEST(RequestReader, BearerTokenNeedsTheScheme) {
  Request request;
  EXPECT_EQ(request.bearer_token(), "");
  request.headers = {{"authorization", "Basic abc"}};
  EXPECT_EQ(request.bearer_token(), "");
  request.headers = {{"authorization", "Bearer "}};
  EXPECT_EQ(request.bearer_token(), "");
}

TEST(RequestReader, TheKeyMayComeAsOtherClientsSendIt) {
  Request request;
  EXPECT_EQ(request.api_key(), "");
  request.headers = {{"api-key", "azure"}};
  EXPECT_EQ(request.api_key(), "azure");
  request.headers.push_back({"x-api-key", "anthropic"});
  EXPECT_EQ(request.api_key(), "anthropic");
  request.headers.push_back({"authorization", "Bearer openai"});
  EXPECT_EQ(request.api_key(), "openai");
}

TEST(RequestReader, HeadersUpToTheLimit) {
  RequestReader fits(small_limits()), over(small_limits()), endless(small_limits());
  EXPECT_EQ(read(fits, head_of_size(200)).step, Step::complete);
  EXPECT_EQ(read(over, head_of_size(201)).step, Step::rejected);
  EXPECT_EQ(over.rejection().error.code, Errc::headers_too_large);
  EXPECT_EQ(read(endless, std::string(201, 'x')).step, Step::rejected);
}

TEST(RequestReader, HundredFieldsAndNoMore) {
  for (const int extra : {99, 100}) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < extra; ++i) bytes += "X-" + std::to_string(i) + ": b\r\n";
    config::ServerLimits limits;
    RequestReader reader(limits);
    EXPECT_EQ(read(reader, bytes + "\r\n").step, extra == 99 ? Step::complete : Step::rejected);
  }
}

TEST(RequestReader, ContentLengthUpToTheLimitIsRefusedBeforeTheBody) {
  RequestReader fits(small_limits()), over(small_limits());
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  EXPECT_EQ(read(fits, head + "10\r\n\r\n0123456789").step, Step::complete);
  EXPECT_EQ(read(over, head + "11\r\n\r\n").step, Step::rejected);
  EXPECT_EQ(over.rejection().error.code, Errc::payload_too_large);
  EXPECT_EQ(over.rejection().reason, Reject::body_too_large);
}

TEST(RequestReader, ChunksAreCounted) {
  RequestReader fits(small_limits()), over(small_limits());
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(read(fits, head + "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n").step, Step::complete);
  EXPECT_EQ(fits.take().body, "0123456789");
  EXPECT_EQ(read(over, head + "5\r\n01234\r\n6\r\n").step, Step::rejected);
  EXPECT_EQ(over.rejection().error.code, Errc::payload_too_large);
}

TEST(RequestReader, ReadsOneRequestAfterAnother) {
  RequestReader reader(small_limits());
  const std::string first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
  const std::string second = "GET /2 HTTP/1.0\r\n\r\n";
  const auto outcome = read(reader, first + second);
  ASSERT_EQ(outcome.step, Step::complete);
  EXPECT_EQ(outcome.taken, first.size());
  EXPECT_EQ(reader.take().path, "/1");
  EXPECT_FALSE(reader.in_request());
  EXPECT_EQ(read(reader, second).step, Step::complete);
  EXPECT_EQ(reader.take().path, "/2");
  EXPECT_TRUE(reader.http_1_0());
  EXPECT_FALSE(reader.keep_alive());
}

TEST(RequestReader, KnowsWhoWaitsToBeAsked) {
  config::ServerLimits limits;
  RequestReader reader(limits);
  std::size_t taken = 0;
  const auto step = reader.feed(
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n", taken);
  EXPECT_EQ(step, Step::head);
  EXPECT_TRUE(reader.expects_continue());
  EXPECT_TRUE(reader.in_body());
}

}  // namespace
}  // namespace spillway::http
