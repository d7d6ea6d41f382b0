#include "backends/local/cuda/decoder_division.h"

#include "backends/local/kernels/kernels.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace spillway::local::cuda {

namespace {

Extent feed_forward_of(const DecoderShape& whole, Share share) {
  return dealt(whole.feed_forward_width, kDealtUnit, share);
}

Extent expert_of(const DecoderShape& whole, Share share) {
  return dealt(whole.experts.width, kDealtUnit, share);
}

// Several ranks may have the same one, each for query heads of its own.
Extent key_heads_of(const DecoderShape& whole, Share share) {
  if (share.ranks <= whole.kv_heads) return dealt(whole.kv_heads, 1, share);
  return {share.rank * whole.kv_heads / share.ranks, 1};
}

// Latent rows are every head's.
bool key_heads_divide(const DecoderShape& whole, int ranks) {
  return whole.latent.used() || whole.kv_heads % ranks == 0 || ranks % whole.kv_heads == 0;
}

bool divides(const DecoderShape& whole, int ranks) {
  const bool heads = whole.query_heads % ranks == 0 && key_heads_divide(whole, ranks);
  int narrowest = std::min(whole.feed_forward_width, whole.vocabulary);
  if (whole.experts.used()) narrowest = std::min(narrowest, whole.experts.width);
  return heads && ranks <= std::min(narrowest / kDealtUnit, kernels::kRanksMax);
}

std::string fitting_ranks(const DecoderShape& whole) {
  std::string list = "1";
  for (int ranks = 2; ranks <= kernels::kRanksMax; ++ranks) {
    if (divides(whole, ranks)) list += ", " + std::to_string(ranks);
  }
  return list;
}

// "28 query heads, 4 key heads and a feed forward width of 18944"
std::string what_is_shared(const DecoderShape& whole) {
  std::string what = std::to_string(whole.query_heads) + " query heads, ";
  if (!whole.latent.used()) what += std::to_string(whole.kv_heads) + " key heads, ";
  if (whole.experts.used()) {
    what += "experts of a width of " + std::to_string(whole.experts.width) + ", ";
  }
  what.replace(what.size() - 2, 2, " and ");
  return what + "a feed forward width of " + std::to_string(whole.feed_forward_width);
}

// Rows of some heads of one kind, each so many rows, behind other rows.
Cut heads_cut(int columns, std::int64_t rows_before, Extent own, std::int64_t head_rows) {
  Cut cut;
  cut.first_row = rows_before + own.first * head_rows;
  cut.rows = own.count * head_rows;
  cut.columns = columns;
  return cut;
}

// One below the other.
std::vector<Cut> stacked(std::vector<Cut> cuts) {
  std::int64_t rows = 0;
  for (Cut& cut : cuts) {
    cut.to_row = rows;
    rows += cut.rows;
  }
  return cuts;
}

// Each rank has the latent row of every token.
std::vector<Cut> latent_cuts(const DecoderShape& whole, int columns, Share share) {
  const std::int64_t width = whole.latent.key_width + whole.latent.rope_width;
  return stacked({heads_cut(columns, 0, dealt(whole.query_heads, 1, share), width),
                  {whole.query_heads * width, whole.latent.line_width(), 0, columns}});
}

std::vector<Cut> qkv_cuts(const DecoderShape& whole, int columns, Share share) {
  if (whole.latent.used()) return latent_cuts(whole, columns, share);
  const std::int64_t width = whole.head_width;
  const std::int64_t query_rows = whole.query_heads * width;
  const std::int64_t key_rows = whole.kv_heads * width;
  const Extent key_heads = key_heads_of(whole, share);
  return stacked({heads_cut(columns, 0, dealt(whole.query_heads, 1, share), width),
                  heads_cut(columns, query_rows, key_heads, width),
                  heads_cut(columns, query_rows + key_rows, key_heads, width)});
}

// Of gate and of up, in each of `matrices` of such rows.
std::vector<Cut> gate_up_cuts(int matrices, std::int64_t width, Extent own, int columns) {
  std::vector<Cut> cuts;
  for (std::int64_t half = 0; half < 2 * matrices; ++half) {
    cuts.push_back({half * width + own.first, own.count, 0, columns});
  }
  return stacked(std::move(cuts));
}

// Of a matrix that yields a part of a sum: the columns that go with what the rank has.
std::optional<Extent> columns_of(const DecoderShape& whole, std::string_view kind, Share share) {
  if (kind == "down") return feed_forward_of(whole, share);
  if (kind == "expert_down") return expert_of(whole, share);
  if (kind != "attention_out") return std::nullopt;
  const Extent heads = dealt(whole.query_heads, 1, share);
  return Extent{heads.first * whole.head_width, heads.count * whole.head_width};
}

}  // namespace

Result<void> check_division(const DecoderShape& whole, int ranks) {
  if (ranks == 1) return {};
  if (divides(whole, ranks)) return {};
  return Error{Errc::invalid_request,
               "tensor_parallel: " + std::to_string(ranks) + " GPUs cannot share " +
                   what_is_shared(whole) + " evenly: this model takes " + fitting_ranks(whole),
               "", std::nullopt};
}

DecoderShape shape_of(const DecoderShape& whole, Share share) {
  DecoderShape shape = whole;
  shape.share = share;
  shape.query_heads = whole.query_heads / share.ranks;
  if (!whole.latent.used()) shape.kv_heads = key_heads_of(whole, share).count;
  shape.feed_forward_width = feed_forward_of(whole, share).count;
  if (whole.experts.used()) shape.experts.width = expert_of(whole, share).count;
  return shape;
}

std::int64_t repeated_weights(const DecoderShape& whole, int ranks) {
  const auto count_of = [](const DecoderShape& shape) {
    std::int64_t count = 0;
    for (const RoomShape& room : rooms_of(shape)) count += room.rows * room.columns;
    return count;
  };
  std::int64_t count = -count_of(whole);
  for (int rank = 0; rank < ranks; ++rank) count += count_of(shape_of(whole, {rank, ranks}));
  return count;
}

std::vector<Cut> cuts_of(const DecoderShape& whole, const RoomShape& room, Share share) {
  const std::string kind = room.name.substr(room.name.rfind('.') + 1);
  const int columns = room.columns;
  const auto of_heads = [&](int rows_each) {
    return std::vector<Cut>{heads_cut(columns, 0, dealt(whole.query_heads, 1, share), rows_each)};
  };
  if (kind == "qkv" || kind == "qkv_bias") return qkv_cuts(whole, columns, share);
  if (kind == "key_up") return of_heads(whole.latent.width);
  if (kind == "value_up") return of_heads(whole.latent.value_width);
  if (kind == "gate_up") {
    return gate_up_cuts(1, whole.feed_forward_width, feed_forward_of(whole, share), columns);
  }
  if (kind == "expert_gate_up") {
    const Experts& experts = whole.experts;
    return gate_up_cuts(experts.count + experts.shared, experts.width, expert_of(whole, share),
                        columns);
  }
  if (kind == "head") {
    const Extent own = dealt(whole.vocabulary, kDealtUnit, share);
    return {{own.first, own.count, 0, columns}};
  }
  const Extent own = columns_of(whole, kind, share).value_or(Extent{0, columns});
  return {{0, room.rows, own.first, own.count}};
}

}  // namespace spillway::local::cuda
