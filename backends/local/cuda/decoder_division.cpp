#include "backends/local/cuda/decoder_division.h"

#include "backends/local/kernels/kernels.h"

#include <algorithm>

namespace spillway::local::cuda {

namespace {

Extent feed_forward_of(const DecoderShape& whole, Share share) {
  return dealt(whole.feed_forward_width, kDealtUnit, share);
}

bool divides(const DecoderShape& whole, int ranks) {
  const bool heads = whole.query_heads % ranks == 0 && whole.kv_heads % ranks == 0;
  const int pieces = std::min(whole.feed_forward_width, whole.vocabulary) / kDealtUnit;
  return heads && ranks <= std::min(pieces, kernels::kRanksMax);
}

std::string fitting_ranks(const DecoderShape& whole) {
  std::string list = "1";
  for (int ranks = 2; ranks <= kernels::kRanksMax; ++ranks) {
    if (divides(whole, ranks)) list += ", " + std::to_string(ranks);
  }
  return list;
}

// Rows of some heads of one kind, behind those of the kinds before it.
Cut heads_cut(const DecoderShape& whole, int columns, int heads_before, int heads, Share share) {
  const Extent own = dealt(heads, 1, share);
  Cut cut;
  cut.first_row = std::int64_t{heads_before + own.first} * whole.head_width;
  cut.rows = std::int64_t{own.count} * whole.head_width;
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

std::vector<Cut> qkv_cuts(const DecoderShape& whole, int columns, Share share) {
  const int queries = whole.query_heads;
  const int keys = whole.kv_heads;
  return stacked({heads_cut(whole, columns, 0, queries, share),
                  heads_cut(whole, columns, queries, keys, share),
                  heads_cut(whole, columns, queries + keys, keys, share)});
}

Error only_one() {
  return {
      Errc::invalid_request,
      "tensor_parallel: a Gemma, or a model of experts or latent rows, runs on one GPU: choose 1",
      "", std::nullopt};
}

}  // namespace

Result<void> check_division(const DecoderShape& whole, int ranks) {
  if (ranks == 1) return {};
  if (whole.latent.used() || whole.experts.used() || whole.gemma.used) return only_one();
  if (divides(whole, ranks)) return {};
  return Error{Errc::invalid_request,
               "tensor_parallel: " + std::to_string(ranks) + " GPUs cannot share " +
                   std::to_string(whole.query_heads) + " query heads, " +
                   std::to_string(whole.kv_heads) + " key heads and a feed forward width of " +
                   std::to_string(whole.feed_forward_width) + " evenly: this model takes " +
                   fitting_ranks(whole),
               "", std::nullopt};
}

DecoderShape shape_of(const DecoderShape& whole, Share share) {
  DecoderShape shape = whole;
  shape.share = share;
  shape.query_heads = whole.query_heads / share.ranks;
  shape.kv_heads = whole.kv_heads / share.ranks;
  shape.feed_forward_width = feed_forward_of(whole, share).count;
  return shape;
}

std::vector<Cut> cuts_of(const DecoderShape& whole, const RoomShape& room, Share share) {
  const std::string kind = room.name.substr(room.name.rfind('.') + 1);
  const Extent inner = feed_forward_of(whole, share);
  if (kind == "qkv" || kind == "qkv_bias") return qkv_cuts(whole, room.columns, share);
  if (kind == "gate_up") {
    const std::int64_t up = whole.feed_forward_width;
    return stacked({{inner.first, inner.count, 0, room.columns},
                    {up + inner.first, inner.count, 0, room.columns}});
  }
  if (kind == "attention_out") {
    const Extent heads = dealt(whole.query_heads, 1, share);
    const int width = whole.head_width;
    return {{0, room.rows, heads.first * width, heads.count * width}};
  }
  if (kind == "down") return {{0, room.rows, inner.first, inner.count}};
  if (kind == "head") {
    const Extent own = shape_of(whole, share).head_rows();
    return {{own.first, own.count, 0, room.columns}};
  }
  return {{0, room.rows, 0, room.columns}};
}

}  // namespace spillway::local::cuda
