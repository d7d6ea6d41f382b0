// The rows of `targets` that are encoders.
#include "config/schema.h"

namespace spillway::config {
namespace {

constexpr double kPriceMost = 1e13;  // 10,000 usd.
constexpr double kHour = 3600e9;

const std::vector<Row<ProviderTarget>> kEncoderRows = {
    {{.key = "kind",
      .kind = Kind::word,
      .words = {"encoder"},
      .required = true,
      .sentence = "encoder: a model on this machine that makes embeddings."}},
    {{.key = "model",
      .kind = Kind::text,
      .required = true,
      .reload = Reload::restart,
      .sentence = "A folder as Hugging Face publishes encoders of BERT's and RoBERTa's kind, and "
                  "decoders that make embeddings (config.json, safetensors, tokenizer.json), as "
                  "seen from the working directory. It is run on the CPU, in builds with "
                  "SPILLWAY_TORCH."},
     field<&ProviderTarget::encoder, &Encoder::model_path>()},
    {{.key = "serves",
      .kind = Kind::served,
      .required = true,
      .sentence = "The model names that clients ask for; it answers /v1/embeddings alone."},
     field<&ProviderTarget::serves>()},
    {{.key = "threads",
      .kind = Kind::count,
      .range = {1, 1024},
      .reload = Reload::restart,
      .sentence = "That compute a batch of texts, at the lowest priority: the engine goes first."},
     field<&ProviderTarget::encoder, &Encoder::threads>()},
    {{.key = "waiting_max",
      .kind = Kind::count,
      .range = {1, 100'000},
      .reload = Reload::restart,
      .sentence = "Requests that it has at once; who comes then is sent to another target, or "
                  "told to come again."},
     field<&ProviderTarget::encoder, &Encoder::waiting_max>()},
    {{.key = "price_per_million.input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .sentence = "What callers are charged for a million tokens."},
     field<&ProviderTarget::price, &Price::input_per_million>()},
    {{.key = "measured.ttft_p50",
      .kind = Kind::duration,
      .range = {0, kHour},
      .sentence = "What an answer takes, as far as policies reckon with it…"},
     field<&ProviderTarget::measured, &Measured::ttft_p50>()},
    {{.key = "measured.ttft_p99",
      .kind = Kind::duration,
      .range = {0, kHour},
      .sentence = "…and at most, but for one of a hundred."},
     field<&ProviderTarget::measured, &Measured::ttft_p99>()},
};

}  // namespace

const std::vector<Row<ProviderTarget>>& encoder_rows() { return kEncoderRows; }

}  // namespace spillway::config
