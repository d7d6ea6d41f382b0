#include "backends/cloud/failure.h"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(Refusal, AClientsMistakeIsNeverTheProvidersIllHealth) {
  for (const std::string_view body :
       {R"({"detail":[{"loc":["body","n"],"msg":"must be less","type":"x"}]})",
        R"({"object":"error","message":{"detail":[{"msg":"must be less"}]}})",
        R"({"errors":[{"message":"must be less"}]})"}) {
    const Error error = refusal(kTeller, head_of(422), body);
    EXPECT_EQ(error.code, Errc::invalid_request) << body;
    EXPECT_NE(error.message.find("must be less"), std::string::npos) << error.message;
  }
  for (const std::string_view body : {"", "<html>", "{}", "[]"})
    EXPECT_EQ(refusal(kTeller, head_of(400), body).code, Errc::unsupported) << body;
  const Error named = refusal(kTeller, head_of(400),
                              R"([{"error":{"code":400,"status":"FAILED_PRECONDITION",)"
                              R"("message":"The File a is not in an ACTIVE state."}}])");
  EXPECT_EQ(named.code, Errc::invalid_request);
}

TEST(Refusal, SaysWhoseFaultItIs) {
  for (const int status : {400, 422}) {
    EXPECT_EQ(refused(status, "bad").code, Errc::invalid_request) << status;
  }
  for (const int status : {301, 403, 404, 408, 409, 500, 502}) {
    EXPECT_EQ(refused(status, "bad").code, Errc::backend_unavailable) << status;
  }
  for (const int status : {401, 402}) {
    EXPECT_EQ(refused(status, "bad").code, Errc::account_refused) << status;
  }
  EXPECT_EQ(refused(400, "long", "context_length_exceeded").code, Errc::context_too_long);
}

Errc code_of(int status, const std::string& body) {
  return refusal(kTeller, head_of(status), body).code;
}

TEST(Refusal, WhatIsTheOperatorsIsNotTheClients) {
  for (
      const char* body :
      {R"({"type":"error","error":{"type":"invalid_request_error","message":
           "Your credit balance is too low to access the Anthropic API."}})",
       R"({"error":{"message":"x","type":"invalid_request_error","code":"billing_hard_limit_reached"}})",
       R"({"error":{"message":"x","type":"billing_not_active","code":"billing_not_active"}})",
       R"({"error":{"message":"x","code":"insufficient_quota"}})",
       R"([{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT",
           "details":[1,{"@type":"t"},{"reason":"API_KEY_INVALID"}]}}])",
       R"([{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}])",
       R"([{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}])",
       R"({"error":"User location is not supported for the API use."})"}) {
    for (const int status : {400, 403, 429})
      EXPECT_EQ(code_of(status, body), Errc::account_refused) << status << body;
    EXPECT_EQ(complaint_error(kTeller, *parse_complaint(body)).code, Errc::account_refused);
  }
  EXPECT_EQ(code_of(429, R"({"error":{"message":"x","code":429,"status":"RESOURCE_EXHAUSTED"}})"),
            Errc::rate_limited);
  // What a client said, told again, shuts nobody out; nor do words beside a code of its own.
  for (const char* body :
       {R"({"error":{"message":"'your credit balance is too low' is no role"}})",
        R"({"error":{"message":"Your credit balance is too low","code":"invalid_value"}})"})
    EXPECT_EQ(code_of(400, body), Errc::invalid_request) << body;
}

TEST(Refusal, AContextThatIsTooShortIsKnownInEveryonesWords) {
  for (
      const char* error :
      {R"("message":"x","code":"context_length_exceeded")",
       R"("message":"This model's maximum context length is 8 tokens. However, you requested 9 tokens",
           "type":"BadRequestError","code":400)",
       R"("message":"This model's maximum context length is 8 tokens. However, your request has 9
           input tokens.","type":"BadRequestError","param":"input_tokens","code":400)",
       R"("message":"The input (9 tokens) is longer than the model's context length (8 tokens).",
           "type":"BadRequest","code":400)",
       R"("message":"This model's maximum context length is 8 tokens.",
           "type":"invalid_request_error","code":"invalid_request_error")",
       R"("message":"prompt is too long: 9 tokens > 8 maximum","type":"invalid_request_error")",
       R"("message":"The input token count (9) exceeds the maximum number of tokens allowed (8).",
           "code":400,"status":"INVALID_ARGUMENT")"}) {
    std::string body(error);
    std::replace(body.begin(), body.end(), '\n', ' ');
    const Error nested = refusal(kTeller, head_of(400), R"({"error":{)" + body + "}}");
    EXPECT_EQ(nested.code, Errc::context_too_long) << body;
    EXPECT_EQ(nested.kind, "") << body;
    EXPECT_EQ(code_of(400, R"({"object":"error",)" + body + "}"), Errc::context_too_long) << body;
  }
  EXPECT_EQ(
      refused(400, "This model's maximum context length is 8", "string_above_max_length").code,
      Errc::invalid_request);
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

TEST(Refusal, AModelThatIsGoneIsNoFaultOfTheOthers) {
  for (const int status : {403, 404}) {
    EXPECT_EQ(refused(status, "The model `m` does not exist").code, Errc::model_not_found)
        << status;
    EXPECT_EQ(refused(status, "no", "model_not_found").code, Errc::model_not_found) << status;
    EXPECT_EQ(refused(status, "Not Found").code, Errc::backend_unavailable) << status;
  }
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
  EXPECT_EQ(refused(429, "pay", "insufficient_quota").code, Errc::account_refused);
}

TEST(Refusal, WhoIsOverloadedSaysHowLong) {
  for (const int status : {503, 529}) {
    const Error error = refusal(kTeller, head_of(status, "Retry-After: 30\r\n"), "<html>");
    EXPECT_EQ(error.code, Errc::overloaded) << status;
    EXPECT_EQ(error.retry_after, 30'000ms) << status;
    EXPECT_EQ(refused(status, "bad").retry_after, std::nullopt) << status;
    EXPECT_EQ(refused(status, "pay", "insufficient_quota").code, Errc::account_refused) << status;
  }
  EXPECT_EQ(refused(500, "full", "server_is_overloaded").code, Errc::overloaded);
  EXPECT_EQ(refused(400, "full", "server_is_overloaded").code, Errc::invalid_request);
}

TEST(Refusal, NeverTellsTheKey) {
  for (const int status : {400, 401, 402, 403, 422, 429, 500}) {
    const Error error = refused(status, "key sk-secret-key is wrong, sk-secret-key!");
    EXPECT_EQ(error.message.find("sk-secret"), error.message.npos) << error.message;
    EXPECT_EQ(error.message.rfind("ai-hub: ", 0), 0u) << error.message;
  }
  EXPECT_EQ(refused(401, "Incorrect key: sk-sec***key").message.find("sk-sec"), std::string::npos);
  const Error short_key = complaint_error({"ai-hub", "key"}, {"a key, a key", "", ""});
  EXPECT_NE(short_key.message.find("a [key], a [key]"), std::string::npos) << short_key.message;
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
  EXPECT_EQ(complaint_error(kTeller, {"", "overloaded_error", ""}).code, Errc::overloaded);
  EXPECT_EQ(complaint_error(kTeller, {"", "", "server_is_overloaded"}).code, Errc::overloaded);
  EXPECT_EQ(complaint_error(kTeller, {"", "", "503"}).code, Errc::overloaded);
  EXPECT_EQ(complaint_error(kTeller, {"x", "server_error", ""}).code, Errc::backend_unavailable);
}

}  // namespace
}  // namespace spillway::cloud
