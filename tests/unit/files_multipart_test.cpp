// Forms as clients write them, cut at every byte: names, look-alikes of boundaries, what is broken.
#include "gateway/files/form.h"
#include "gateway/files/multipart.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::files {
namespace {

std::string part(const std::string& disposition, const std::string& content) {
  return "--b\r\nContent-Disposition: form-data; " + disposition +
         "\r\nContent-Type: text/plain\r\n\r\n" + content + "\r\n";
}

struct Form {
  FormReader reader{"b", "file"};
  std::string content;
  std::optional<Error> error;

  // Feeds `body` in pieces of so many bytes.
  Form(const std::string& body, std::size_t piece) {
    for (std::size_t at = 0; at < body.size() && !error; at += piece) {
      auto taken = reader.take(std::string_view(body).substr(at, piece));
      if (taken) content += *taken;
      if (!taken) error = taken.error();
    }
    const auto whole = reader.check_whole();
    if (!error && !whole) error = whole.error();
  }
};

class Multipart : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(CutAnywhere, Multipart, ::testing::Values(1, 2, 3, 5, 7, 64, 100'000));

TEST_P(Multipart, RoundTripsWhatLooksLikeABoundary) {
  const std::string sendable = "--b\r\n--bx\r\n--b -\r\n--" + std::string(1, '\0') +
                               "\r\n--\r\n-\r\r\n\r\n--bb--\r\n--b\t!\n--b--\r";
  const Form form(part("name=\"purpose\"", "batch") +
                      part("name=\"file\"; filename=\"x.bin\"", sendable) + "--b--\r\n",
                  GetParam());
  ASSERT_FALSE(form.error) << form.error->message;
  EXPECT_EQ(form.content, sendable);
  EXPECT_EQ(form.reader.field("purpose"), "batch");
  EXPECT_EQ(form.reader.filename(), "x.bin");
}

TEST_P(Multipart, FieldsMayFollowTheFile) {
  const Form form("preamble\r\n" + part("name=\"file\"; filename=\"\"", "") +
                      part("name=\"expires_after[seconds]\"", "3600") + "--b--epilogue",
                  GetParam());
  ASSERT_FALSE(form.error) << form.error->message;
  EXPECT_EQ(form.content, "");
  EXPECT_EQ(form.reader.filename(), "upload");
  EXPECT_EQ(form.reader.field("expires_after[seconds]"), "3600");
}

TEST_P(Multipart, SaysWhatIsMissing) {
  EXPECT_EQ(Form(part("name=\"file\"", "x"), GetParam()).error->message,
            "the form ends before its last boundary");
  EXPECT_EQ(Form(part("name=\"purpose\"", "x") + "--b--", GetParam()).error->param, "file");
  EXPECT_EQ(Form(part("name=\"file\"", "x") + part("name=\"file\"", "y") + "--b--", GetParam())
                .error->message,
            "send one file at a time");
  EXPECT_TRUE(Form("--b\r\n" + std::string(17'000, 'x'), GetParam()).error);
  EXPECT_TRUE(Form(part("name=\"a\"", std::string(17'000, 'x')) + "--b--", GetParam()).error);
}

std::string filename(const std::string& disposition) {
  return Form(part("name=\"file\"; " + disposition, "x") + "--b--", 1'000).reader.filename();
}

TEST(MultipartNames, AreReadAsClientsWriteThem) {
  EXPECT_EQ(filename("filename=\"Grüße 日本.jsonl\""), "Grüße 日本.jsonl");
  EXPECT_EQ(filename("filename=\"a%22b%0D%0A.txt\""), "a\"b\r\n.txt");  // Browsers, undici, httpx.
  EXPECT_EQ(filename("filename=\"100%25.txt\""), "100%25.txt");
  EXPECT_EQ(filename("filename=\"a\\\"b\\\\c\\d; e.txt\""), "a\"b\\c\\d; e.txt");
  EXPECT_EQ(filename("filename=plain.txt"), "plain.txt");
  EXPECT_EQ(filename("filename*=UTF-8''gr%C3%BC%C3%9Fe.txt; filename=\"x\""), "grüße.txt");
  EXPECT_EQ(filename("FileName=\"x\""), "x");
}

TEST(MultipartBoundary, IsNamedByTheContentType) {
  EXPECT_EQ(*boundary_of("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(*boundary_of("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""), "a b");
  EXPECT_FALSE(boundary_of("application/json").has_value());
  EXPECT_FALSE(boundary_of("multipart/form-data").has_value());
  EXPECT_FALSE(boundary_of("multipart/form-data; boundary=" + std::string(71, 'x')).has_value());
}

}  // namespace
}  // namespace spillway::files
