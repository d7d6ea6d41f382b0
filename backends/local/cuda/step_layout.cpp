#include "backends/local/cuda/step_layout.h"

#include "backends/local/kernels/score_kernels.h"
#include "backends/local/sample/logprobs.h"
#include "backends/local/sample/sampler.h"

#include <algorithm>
#include <bit>

namespace spillway::local::cuda {

namespace {

bool decodes(const Slice& slice) { return slice.tokens.size() == 1; }

// Told with the tokens that are drawn, and with those that are given; -1: nothing is.
struct Likeliest {
  int drawn = -1;
  int given = -1;
};

Likeliest likeliest_of(const Slice& slice) {
  if (slice.sampler == nullptr) return {};
  const Sampling& sampling = slice.sampler->sampling();
  return {sampling.logprobs.value_or(-1), likeliest_of_prompt(sampling).value_or(-1)};
}

int most_of(const Likeliest& likeliest) { return std::max(likeliest.drawn, likeliest.given); }

// The device's sampler knows temperature, top_k and top_p.
Drawing drawing_of(const Slice& slice) {
  const SequenceSampler* const sampler = slice.sampler;
  const bool is_one_draw = slice.logits_rows <= 1 + static_cast<int>(slice.behind.size());
  if (sampler == nullptr || !is_one_draw) return Drawing::on_host;
  const Sampling& s = sampler->sampling();
  const bool plain = sampler->allowed().empty() && s.bias.empty() && s.min_p == 0.0 &&
                     s.frequency_penalty == 0.0 && s.presence_penalty == 0.0 &&
                     s.repetition_penalty == 1.0 && s.tokens_min <= sampler->generated() &&
                     most_of(likeliest_of(slice)) <= kernels::kLikeliestMax;
  if (!plain) return Drawing::on_host;
  return s.temperature == 0.0 ? Drawing::greedy : Drawing::drawn;
}

Drawing stricter(Drawing a, Drawing b) {
  if (a == Drawing::on_host || b == Drawing::on_host) return Drawing::on_host;
  return a == Drawing::drawn ? a : b;
}

std::int32_t bits_of(double value) {
  return std::bit_cast<std::int32_t>(static_cast<float>(value));
}

}  // namespace

void StepWriter::count(std::span<const Slice> slices, StepLayout& layout) {
  StepRows& rows = layout.rows;
  rows.decodes_only = true;
  layout.drawing = Drawing::greedy;
  for (const Slice& slice : slices) {
    const int tokens = static_cast<int>(slice.tokens.size());
    rows.logits += slice.logits_rows;
    if (slice.logits_rows > 0) {
      layout.drawing = stricter(layout.drawing, drawing_of(slice));
      layout.scores = layout.scores || most_of(likeliest_of(slice)) >= 0;
    }
    rows.decodes_only = rows.decodes_only && decodes(slice) && slice.logits_rows == 1;
    if (decodes(slice)) {
      ++rows.decodes;
      continue;
    }
    ++rows.chunks;
    rows.chunk_rows += tokens;
    rows.chunk_rows_max = std::max(rows.chunk_rows_max, tokens);
  }
}

void StepWriter::pad(StepRows& rows, int bucket) {
  for (int row = rows.decodes; row < bucket; ++row) {
    state_.set(StepState::positions, row, -1);
    state_.set(StepState::ids, row, 0);
  }
  rows.decodes = bucket;
  rows.logits = bucket;
}

void StepWriter::write_tokens(const Slice& slice, int first_row, int table_row) {
  const int tokens = static_cast<int>(slice.tokens.size());
  for (int i = 0; i < tokens; ++i) {
    const std::int32_t token = slice.tokens[static_cast<std::size_t>(i)];
    state_.set(StepState::ids, first_row + i,
               tokens == 1 ? slots_.id_for(slice.sequence, token) : token);
    state_.set(StepState::positions, first_row + i, slice.first_position + i);
    state_.set(StepState::row_sequence, first_row + i, table_row);
  }
  const int pages = (slice.first_position + tokens + kBlockTokens - 1) / kBlockTokens;
  state_.set_pages(table_row, slice.blocks.first(static_cast<std::size_t>(pages)));
}

void StepWriter::write_sampling(const Slice& slice, int logit_row, bool draws, bool decodes_only) {
  const Sampling& sampling = slice.sampler->sampling();
  const std::uint64_t seed = slice.sampler->seed();
  const int tokens = static_cast<int>(slice.tokens.size());
  state_.set(StepState::slot, logit_row, draws ? slots_.slot_for(slice.sequence) : -1);
  if (!decodes_only) state_.set(StepState::counter, logit_row, slice.first_position + tokens);
  state_.set(StepState::top_k, logit_row, sampling.top_k);
  state_.set(StepState::temperature, logit_row, bits_of(sampling.temperature));
  state_.set(StepState::top_p, logit_row, bits_of(sampling.top_p));
  state_.set(StepState::seed, 2 * logit_row, static_cast<std::int32_t>(seed));
  state_.set(StepState::seed, 2 * logit_row + 1, static_cast<std::int32_t>(seed >> 32));
}

void StepWriter::write_logits(const Slice& slice, int first_row, StepLayout& layout) {
  const int before = static_cast<int>(slice.tokens.size()) - slice.logits_rows;
  const Likeliest likeliest_of_each = likeliest_of(slice);
  for (int i = 0; i < slice.logits_rows; ++i) {
    const int logit_row = static_cast<int>(layout.logit_rows.size());
    const auto at = static_cast<std::size_t>(i);
    const bool draws = at >= slice.behind.size();
    const int likeliest = draws ? likeliest_of_each.drawn : likeliest_of_each.given;
    state_.set(StepState::logit_row, logit_row, first_row + before + i);
    if (layout.drawing != Drawing::on_host) {
      write_sampling(slice, logit_row, draws, layout.rows.decodes_only);
      if (layout.scores) {
        state_.set(StepState::wanted, logit_row, likeliest);
        state_.set(StepState::given, logit_row, draws ? -1 : slice.behind[at]);
      }
    }
    layout.logit_rows.push_back({slice.sequence, draws, likeliest});
  }
}

void StepWriter::write_rows(std::span<const Slice> slices, StepLayout& layout) {
  int decode_row = 0;
  int chunk_row = layout.rows.decodes;
  int chunk = 0;
  for (const Slice& slice : slices) {
    if (decodes(slice)) {
      write_tokens(slice, decode_row, decode_row);
      write_logits(slice, decode_row++, layout);
      continue;
    }
    const int table_row = layout.rows.decodes + chunk;
    state_.set(StepState::chunk_start, chunk, chunk_row - layout.rows.decodes);
    state_.set(StepState::chunk_position, chunk, slice.first_position);
    state_.set(StepState::chunk_sequence, chunk, table_row);
    write_tokens(slice, chunk_row, table_row);
    write_logits(slice, chunk_row, layout);
    chunk_row += static_cast<int>(slice.tokens.size());
    ++chunk;
  }
  if (chunk > 0) state_.set(StepState::chunk_start, chunk, chunk_row - layout.rows.decodes);
}

}  // namespace spillway::local::cuda
