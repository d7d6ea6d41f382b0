#include "config/digest.h"

#include <array>
#include <new>
#include <openssl/evp.h>
#include <span>

namespace spillway::config {
namespace {

using Buffer = std::array<unsigned char, EVP_MAX_MD_SIZE>;

std::string hex_of(std::span<const unsigned char> digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Buffer digest;
  unsigned size = 0;
  // An empty digest would let every key in.
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
  return hex_of(std::span(digest).first(size));
}

void Md5::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Md5::Md5() : context_(EVP_MD_CTX_new()) {
  if (EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr) != 1) context_.reset();
}

void Md5::add(std::string_view bytes) {
  if (context_) EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Md5::hex() {
  if (!context_) return {};
  Buffer digest;
  unsigned size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  return hex_of(std::span(digest).first(size));
}

}  // namespace spillway::config
