// Values with units: exact, never rounded, and written back as they were.
#include "config/digest.h"
#include "config/nearest.h"
#include "config/value.h"

#include <gtest/gtest.h>

namespace spillway::config {
namespace {

std::optional<std::int64_t> amount(Kind kind, const std::string& text) {
  const auto parsed = parse_value(kind, text);
  const auto* value = std::get_if<Value>(&parsed);
  return value == nullptr ? std::nullopt : std::optional(std::get<std::int64_t>(*value));
}

bool is_read(Kind kind, const std::string& text) {
  return std::holds_alternative<Value>(parse_value(kind, text));
}

TEST(ConfigValue, DurationsAreNanoseconds) {
  EXPECT_EQ(amount(Kind::duration, "800ms"), 800'000'000);
  EXPECT_EQ(amount(Kind::duration, "1.5s"), 1'500'000'000);
  EXPECT_EQ(amount(Kind::duration, "5m"), 300'000'000'000);
  EXPECT_EQ(amount(Kind::duration, "2h"), 7'200'000'000'000);
  EXPECT_EQ(amount(Kind::duration, "30d"), 30LL * 24 * 3'600 * 1'000'000'000);
  EXPECT_EQ(amount(Kind::duration, "0.5us"), 500);
  EXPECT_EQ(amount(Kind::duration, "0s"), 0);
  for (const char* wrong : {"", "ms", "1 s", "1S", "1e3s", "-1s", "1.s", ".5s", "1.0.0s", "1w",
                            "0.5ns", "9999999999999h", "1234567890123456789s", "0"}) {
    EXPECT_FALSE(is_read(Kind::duration, wrong)) << wrong;
  }
}

TEST(ConfigValue, MoneyIsExactToTheNano) {
  EXPECT_EQ(amount(Kind::money, "2.75usd"), 2'750'000'000);
  EXPECT_EQ(amount(Kind::money, "0.1usd"), 100'000'000);
  EXPECT_EQ(amount(Kind::money, "0.000000001usd"), 1);
  EXPECT_FALSE(is_read(Kind::money, "0.0000000001usd"));
  EXPECT_FALSE(is_read(Kind::money, "$2.75"));
  EXPECT_FALSE(is_read(Kind::money, "2.75eur"));
  EXPECT_FALSE(is_read(Kind::money, "99999999999usd"));
}

TEST(ConfigValue, SizesAreBinary) {
  EXPECT_EQ(amount(Kind::bytes, "32MiB"), 32 << 20);
  EXPECT_EQ(amount(Kind::bytes, "1.5KiB"), 1536);
  EXPECT_EQ(amount(Kind::bytes, "512B"), 512);
  EXPECT_FALSE(is_read(Kind::bytes, "0.5B"));
  EXPECT_FALSE(is_read(Kind::bytes, "32mb"));
}

TEST(ConfigValue, NumbersAreWhole) {
  EXPECT_EQ(amount(Kind::count, "-3"), -3);
  EXPECT_FALSE(is_read(Kind::count, "3.0"));
  EXPECT_FALSE(is_read(Kind::count, "0x10"));
  EXPECT_FALSE(is_read(Kind::count, "9223372036854775808"));
  EXPECT_FALSE(is_read(Kind::decimal, "nan"));
  EXPECT_FALSE(is_read(Kind::decimal, "inf"));
  EXPECT_FALSE(is_read(Kind::decimal, "90%"));
}

TEST(ConfigValue, CanonicalTextReadsBack) {
  const std::vector<std::pair<Kind, std::string>> texts = {
      {Kind::duration, "1500ms"},   {Kind::duration, "90s"},  {Kind::duration, "0s"},
      {Kind::bytes, "16KiB"},       {Kind::bytes, "1025B"},   {Kind::money, "2.75usd"},
      {Kind::money, "0.50usd"},     {Kind::money, "3.00usd"}, {Kind::money, "0.000001usd"},
      {Kind::decimal, "0.9"},       {Kind::count, "8"},       {Kind::flag, "true"},
      {Kind::endpoint, "[::1]:80"}, {Kind::bytes, "0B"}};
  for (const auto& [kind, text] : texts) {
    EXPECT_EQ(format_value(kind, std::get<Value>(parse_value(kind, text))), text);
  }
}

TEST(ConfigValue, EndpointsSplit) {
  EXPECT_EQ(split_endpoint("127.0.0.1:8080"),
            (std::pair<std::string, std::uint16_t>("127.0.0.1", 8080)));
  EXPECT_EQ(split_endpoint("[::1]:0"), (std::pair<std::string, std::uint16_t>("::1", 0)));
  for (const char* wrong :
       {":8080", "host:", "host:65536", "host", "a b:1", "::1:80", "[x]:80", "h:-1"}) {
    EXPECT_FALSE(is_read(Kind::endpoint, wrong)) << wrong;
  }
}

TEST(ConfigValue, UrlsLoseTheirLastSlash) {
  EXPECT_EQ(std::get<std::string>(std::get<Value>(parse_value(Kind::url, "https://h:1/v1/"))),
            "https://h:1/v1");
  for (const char* wrong : {"ftp://h", "https://", "https://h/v1?key=1", "https://h#x",
                            "https:///v1", "https://h:99999/v1", "http://[::1/v1"}) {
    EXPECT_FALSE(is_read(Kind::url, wrong)) << wrong;
  }
}

TEST(ConfigValue, SecretsAreNamedNotWritten) {
  EXPECT_TRUE(is_read(Kind::secret, "env:OPENAI_API_KEY"));
  EXPECT_TRUE(is_read(Kind::secret, "file:/run/secrets/key"));
  for (const char* wrong :
       {"", ":", "env:", "file:", "env:1A", "env:A-B", "abc", "env",
        "env:0123456789abcdef0123456789abcdef", "env:a0123456789abcdef0123456789abcdef"}) {
    EXPECT_FALSE(is_read(Kind::secret, wrong)) << wrong;
  }
}

TEST(ConfigValue, WhatLooksLikeASecretIsNotShown) {
  EXPECT_EQ(in_quotes("sk-abcdefgh1234"), "'***'");
  EXPECT_EQ(in_quotes("0123456789abcdef0123456789abcdef"), "'***'");
  EXPECT_EQ(in_quotes("SmolLM2-135M-Instruct"), "'SmolLM2-135M-Instruct'");
  EXPECT_EQ(in_quotes("a\x01"
                      "b"),
            "'a?b'");
  EXPECT_EQ(in_quotes(std::string(100, 'x')), "'" + std::string(60, 'x') + "…'");
  EXPECT_EQ(in_quotes(std::string(59, 'x') + "é!"), "'" + std::string(59, 'x') + "…'");
}

TEST(ConfigValue, NearestForgivesSlipsOnly) {
  const std::vector<std::string> words = {"listen", "admin", "sequences_max"};
  EXPECT_EQ(nearest("lisen", words), "listen");
  EXPECT_EQ(nearest("lsiten", words), "listen");
  EXPECT_EQ(nearest("sequences", words), "sequences_max");
  EXPECT_EQ(nearest("zebra", words), "");
  EXPECT_EQ(nearest("", words), "");
  EXPECT_EQ(nearest(std::string(10'000, 'a'), words), "");
}

// FIPS 180-4 examples, and the length at which the padding takes a block of its own.
TEST(ConfigValue, Sha256) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

std::string md5_of(std::string_view text, std::size_t piece) {
  Md5 md5;
  for (std::size_t at = 0; at < text.size(); at += piece) md5.add(text.substr(at, piece));
  return md5.hex();
}

TEST(ConfigValue, Md5IsTheRfcs) {
  EXPECT_EQ(md5_of("", 1), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_of("abc", 1), "900150983cd24fb0d6963f7d28e17f72");
  const std::string digits =
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890";
  for (const std::size_t piece : {1, 7, 63, 64, 65, 100})
    EXPECT_EQ(md5_of(digits, piece), "57edf4a22be3c955ac49da2e2107b67a");
}

}  // namespace
}  // namespace spillway::config
