// An encoder of this process as a Backend: it answers /v1/embeddings, and nothing else.
//
// Texts become ids on the thread that opens, so that what is wrong with a request is said at once;
// the rest is done on the encoder's thread.
#pragma once

#include "backends/contract/backend.h"
#include "backends/local/encoder/encoder_text.h"
#include "backends/local/encoder/encoder_thread.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace spillway::local {

class EncoderBackend final : public Backend {
 public:
  struct Vectors {
    std::size_t width = 0;
    bool shortens = false;  // `dimensions` may be fewer; else only as many as there are.
  };

  EncoderBackend(std::string name, EncoderText text, Vectors vectors,
                 std::unique_ptr<Encoder> encoder, EncoderLimits limits)
      : name_(std::move(name)),
        text_(std::move(text)),
        vectors_(vectors),
        thread_(std::move(encoder), limits) {}

  const std::string& name() const override { return name_; }

  std::vector<std::string> left_out(const ChatRequest& request) const override;

  // Besides: unsupported, of another endpoint or of `dimensions` that its model cannot give.
  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                           Terms terms) override;

 private:
  Result<void> check_dimensions(const std::optional<std::size_t>& dimensions) const;

  const std::string name_;
  const EncoderText text_;
  const Vectors vectors_;
  EncoderThread thread_;
};

}  // namespace spillway::local
