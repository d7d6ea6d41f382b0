// OpenAI's batches API in words.
#include "backends/cloud/dialects/openai_batches.h"

#include <gtest/gtest.h>

namespace spillway::cloud::openai {
namespace {

std::string batch(const std::string& status, const std::string& more = "") {
  return R"({"id":"batch_1","object":"batch","status":")" + status + R"(","errors":null,)" +
         R"("output_file_id":null,"error_file_id":null,)" +
         R"("request_counts":{"total":9,"completed":4,"failed":1})" + more + "}";
}

TEST(Batches, EveryStatusRunsOrHasEnded) {
  for (const char* status : {"validating", "in_progress", "finalizing", "cancelling", "new_one"})
    EXPECT_FALSE(provider_batch(batch(status))->ended) << status;
  for (const char* status : {"completed", "failed", "expired", "cancelled"})
    EXPECT_TRUE(provider_batch(batch(status))->ended) << status;
}

TEST(Batches, ItsCountsAndFilesAreRead) {
  const auto running = provider_batch(batch("in_progress"));
  ASSERT_TRUE(running);
  EXPECT_EQ(running->id, "batch_1");
  EXPECT_EQ(running->completed, 4);
  EXPECT_EQ(running->failed, 1);
  EXPECT_EQ(running->output_file, "");
  const auto failed = provider_batch(
      R"({"id":"b","status":"failed","error_file_id":"file-2",)"
      R"("errors":{"object":"list","data":[{"code":"x","message":"Line 3 is none."}]}})");
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->error_file, "file-2");
  EXPECT_EQ(failed->complaint, "Line 3 is none.");
}

TEST(Batches, WhatIsNoneIsNone) {
  EXPECT_FALSE(provider_batch("[]"));
  EXPECT_FALSE(provider_batch("{"));
  EXPECT_FALSE(provider_batch(R"({"id":"batch_1"})"));
  EXPECT_FALSE(provider_batch(R"({"status":"completed"})"));
  EXPECT_FALSE(provider_batch(R"({"id":"../files","status":"completed"})")) << "goes into a path";
  EXPECT_FALSE(file_id(R"({"id":"a/b"})"));
  EXPECT_FALSE(file_id("{}"));
  EXPECT_EQ(*file_id(R"({"id":"file-1"})"), "file-1");
}

TEST(Batches, OneIsFoundByItsLabel) {
  const std::string other = batch("in_progress", R"(,"metadata":null)");
  const std::string ours = batch("in_progress", R"(,"metadata":{"spillway":"handover_1"})");
  const std::string page =
      R"({"object":"list","data":[)" + other + "," + ours + R"(],"has_more":true})";
  const auto here = batch_page(page, "handover_1");
  ASSERT_TRUE(here && here->found);
  EXPECT_EQ(here->found->id, "batch_1");
  const auto elsewhere = batch_page(page, "handover_2");
  ASSERT_TRUE(elsewhere);
  EXPECT_FALSE(elsewhere->found);
  EXPECT_EQ(elsewhere->last, "batch_1");
  const auto last = batch_page(R"({"data":[],"has_more":false})", "handover_1");
  ASSERT_TRUE(last);
  EXPECT_EQ(last->last, "");
  EXPECT_FALSE(batch_page(R"({"error":{"message":"no"}})", "handover_1"));
}

TEST(Batches, ALineIsOneLine) {
  const std::string line = batch_line("7", "/v1/chat/completions", "{\"model\":\n\"m\"}");
  EXPECT_EQ(
      line,
      R"({"custom_id":"7","method":"POST","url":"/v1/chat/completions","body":{"model": "m"}})");
}

TEST(Batches, TheFileIsAForm) {
  const FileForm form = file_form("{}\n", "handover_1.jsonl");
  EXPECT_EQ(form.content_type, "multipart/form-data; boundary=----spillway-batch");
  EXPECT_NE(form.body.find("name=\"purpose\"\r\n\r\nbatch\r\n"), std::string::npos);
  EXPECT_NE(form.body.find("filename=\"handover_1.jsonl\""), std::string::npos);
  EXPECT_TRUE(form.body.ends_with("\r\n\r\n{}\n\r\n------spillway-batch--\r\n"));
}

TEST(Batches, AnswersAreReadLineByLine) {
  const auto answers = batch_answers(
      R"({"custom_id":"1","response":{"status_code":200,"body":{"choices":[ ]}},"error":null})"
      "\n"
      R"({"custom_id":"2","response":{"status_code":400,"body":{"error":{"message":"no"}}}})"
      "\r\n"
      R"({"custom_id":"3","response":{"status_code":500,"body":{}}})"
      "\n\nnot json\n{}\n"
      R"({"custom_id":"4","response":null,"error":{"code":"batch_expired","message":"late"}})");
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].body, R"({"choices":[ ]})");
  EXPECT_FALSE(answers[0].again);
  EXPECT_EQ(answers[1].status, 400);
  EXPECT_FALSE(answers[1].again);
  EXPECT_TRUE(answers[2].again);
  EXPECT_EQ(answers[3].status, 0);
  EXPECT_TRUE(answers[3].again);
}

TEST(Batches, EndpointsThatItHas) {
  EXPECT_EQ(batch_path(Endpoint::chat), "/v1/chat/completions");
  EXPECT_EQ(batch_path(Endpoint::embeddings), "/v1/embeddings");
  EXPECT_EQ(batch_path(Endpoint::rerank), "");
  EXPECT_EQ(account_url("http://a/v1", "files"), "http://a/v1/files");
  EXPECT_EQ(account_url("http://a/v1/", "files"), "http://a/v1/files");
}

}  // namespace
}  // namespace spillway::cloud::openai
