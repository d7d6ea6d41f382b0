#include "backends/cloud/failure.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace spillway::cloud {
namespace {

using namespace std::chrono_literals;

const Teller kTeller{"ai-hub", "sk-secret-key"};

ResponseHead head_of(int status, const std::string& lines = "") {
  ResponseHead head;
  EXPECT_TRUE(head.take("HTTP/1.1 " + std::to_string(status) + " Whatever\r\n"));
  std::size_t at = 0;
  while (at < lines.size()) {
    const std::size_t end = lines.find('\n', at) + 1;
    EXPECT_TRUE(head.take(lines.substr(at, end - at)));
    at = end;
  }
  return head;
}

Error refused(int status, const std::string& message, const std::string& code = "") {
  return refusal(kTeller, head_of(status),
                 R"({"error":{"message":")" + message + R"(","code":")" + code + "\"}}");
}

TEST(ResponseHead, ReadsStatusAndMediaType) {
  const ResponseHead head = head_of(200, "Content-Type: Text/Event-Stream; charset=utf-8\r\n");
  EXPECT_EQ(head.status(), 200);
  EXPECT_EQ(head.media_type(), "text/event-stream");
}

TEST(ResponseHead, AnInterimAnswerIsForgotten) {
  ResponseHead head = head_of(100, "Retry-After: 9\r\n");
  EXPECT_TRUE(head.take("HTTP/1.1 429 Too Many\r\n"));
  EXPECT_EQ(head.status(), 429);
  EXPECT_FALSE(head.retry_after());
}

TEST(ResponseHead, ReadsRetryAfterInItsForms) {
  EXPECT_EQ(head_of(429, "Retry-After: 2\r\n").retry_after(), 2'000ms);
  EXPECT_EQ(head_of(429, "retry-after: 0.25\r\n").retry_after(), 250ms);
  EXPECT_EQ(head_of(429, "Retry-After: 2\r\nretry-after-ms: 150\r\n").retry_after(), 150ms);
  EXPECT_EQ(head_of(429,
                    "Date: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
                    "Retry-After: Tue, 24 Nov 2026 10:00:30 GMT\r\n")
                .retry_after(),
            30'000ms);
  EXPECT_EQ(head_of(429, "Retry-After: -5\r\n").retry_after(), 0ms);
  EXPECT_EQ(head_of(429, "Retry-After: 1e30\r\n").retry_after(), 24h);
  EXPECT_FALSE(head_of(429, "Retry-After: soon\r\n").retry_after());
  EXPECT_FALSE(head_of(429, "Retry-After: Tue, 24 Nov 2026 10:00:30 GMT\r\n").retry_after());
}

TEST(ResponseHead, IsLimited) {
  ResponseHead head = head_of(200);
  const std::string line = "x: " + std::string(1'021, 'y') + "\n";
  std::size_t bytes = 0;
  while (bytes < 2 * ResponseHead::kBytesMax && head.take(line)) bytes += line.size();
  EXPECT_LT(bytes, ResponseHead::kBytesMax);
  EXPECT_GT(bytes, ResponseHead::kBytesMax - 2 * line.size());
}

TEST(Refusal, SaysWhoseFaultItIs) {
  for (const int status : {400, 422}) {
    EXPECT_EQ(refused(status, "bad").code, Errc::invalid_request) << status;
  }
  for (const int status : {301, 401, 402, 404, 408, 409, 500, 502, 503, 529}) {
    EXPECT_EQ(refused(status, "bad").code, Errc::backend_unavailable) << status;
  }
  EXPECT_EQ(refused(400, "long", "context_length_exceeded").code, Errc::context_too_long);
}

TEST(Refusal, WhatARequestMeetsThereIsNoIllHealth) {
  for (const int status : {403, 413}) {
    const Error error = refused(status, "this content is too much", "policy_7");
    EXPECT_EQ(error.code, Errc::unsupported) << status;
    EXPECT_NE(error.message.find("this content is too much"), error.message.npos) << status;
    EXPECT_EQ(error.kind, "policy_7");
  }
  EXPECT_EQ(refused(413, "big").kind, "request_too_large");
  EXPECT_EQ(refused(403, "flagged").kind, "refused_by_provider");
  EXPECT_EQ(refusal(kTeller, head_of(413), "<html>").code, Errc::unsupported);
  EXPECT_EQ(refusal(kTeller, head_of(403), "<html>").code, Errc::backend_unavailable);
  for (const char* words :
       {"Your API Key sk-a*** may not", "the account is closed", "Unauthorized",
        "Country, region, or territory not supported", "Access denied due to Firewall rules."})
    EXPECT_EQ(refused(403, words).code, Errc::backend_unavailable) << words;
  EXPECT_EQ(refused(403, "no", "authentication_error").code, Errc::backend_unavailable);
  Complaint short_of{.message = "it gave 1 of 2 choices", .answered = true};
  EXPECT_EQ(complaint_error(kTeller, short_of).code, Errc::unsupported);
}

TEST(Refusal, WhatIsNoJsonIsNotTheClientsFault) {
  const Error error = refusal(kTeller, head_of(404), "<html>nginx</html>");
  EXPECT_EQ(error.code, Errc::backend_unavailable);
  EXPECT_EQ(error.message.find("nginx"), error.message.npos);
}

TEST(Refusal, RateLimitsCarryTheirTimeAndSpentAccountsDoNot) {
  const Error limited = refusal(kTeller, head_of(429, "Retry-After: 3\r\n"), "");
  EXPECT_EQ(limited.code, Errc::rate_limited);
  EXPECT_EQ(limited.retry_after, 3'000ms);
  EXPECT_EQ(refused(429, "pay", "insufficient_quota").code, Errc::backend_unavailable);
}

TEST(Refusal, NeverTellsTheKey) {
  for (const int status : {400, 401, 402, 403, 422, 429, 500}) {
    const Error error = refused(status, "key sk-secret-key is wrong, sk-secret-key!");
    EXPECT_EQ(error.message.find("sk-secret"), error.message.npos) << error.message;
    EXPECT_EQ(error.message.rfind("ai-hub: ", 0), 0u) << error.message;
  }
  EXPECT_EQ(refused(401, "Incorrect key: sk-sec***key").message.find("sk-sec"), std::string::npos);
  const Error in_stream = complaint_error(kTeller, {"sk-secret-key", "", ""});
  EXPECT_EQ(in_stream.message.find("sk-secret"), std::string::npos);
}

TEST(Refusal, IsShortAndPrintable) {
  std::string words;
  for (int i = 0; i < 400; ++i) words += "é";
  const Error error = complaint_error(kTeller, {"\x1b[31m" + words, "", ""});
  EXPECT_LT(error.message.size(), 400u);
  EXPECT_EQ(error.message.find('\x1b'), std::string::npos);
  EXPECT_TRUE(error.message.ends_with("é…")) << error.message;
}

TEST(Complaint, KnowsRateLimitsAndBadRequests) {
  EXPECT_EQ(complaint_error(kTeller, {"", "rate_limit_error", ""}).code, Errc::rate_limited);
  EXPECT_EQ(complaint_error(kTeller, {"", "", "rate_limit_exceeded"}).code, Errc::rate_limited);
  EXPECT_EQ(complaint_error(kTeller, {"", "", "429"}).code, Errc::rate_limited);
  EXPECT_EQ(complaint_error(kTeller, {"", "invalid_request_error", ""}).code,
            Errc::invalid_request);
  EXPECT_EQ(complaint_error(kTeller, {"x", "server_error", ""}).code, Errc::backend_unavailable);
}

}  // namespace
}  // namespace spillway::cloud
