#include "backends/local/cuda/peer_exchange.h"

#include "backends/local/cuda/linear.h"

#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

// Gemma's norms behind a product add to the residual stream of every rank.
PeerExchange::PeerExchange(const DecoderShape& shape, Limits limits, CUstream_st* stream)
    : share_(shape.share),
      width_(shape.width),
      limits_(limits),
      may_part_(shape.share.ranks > 2 && !shape.gemma.used),
      exchanges_(static_cast<std::uint32_t>(2 * shape.layers + 1)),
      stream_(stream) {}

Result<std::unique_ptr<PeerExchange>> PeerExchange::create(const DecoderShape& shape, Limits limits,
                                                           const Outlets& outlets,
                                                           CUstream_st* stream) {
  std::unique_ptr<PeerExchange> exchange(new PeerExchange(shape, limits, stream));
  if (auto allocated = exchange->allocate(); !allocated) return allocated.error();
  exchange->own_.outlets = outlets;
  exchange->all_ = {exchange->own_};
  return exchange;
}

Result<void> PeerExchange::allocate() {
  const auto width = static_cast<std::size_t>(width_);
  const std::size_t few = kernels::kSkinnyTokensMax * width;
  const std::size_t product_bytes =
      static_cast<std::size_t>(Linear::padded_rows(limits_.rows_max)) * width *
      sizeof(std::uint16_t);
  const auto ranks = static_cast<std::size_t>(share_.ranks);
  Allocations allocations;
  allocations.zeroed(signals_, sizeof(std::uint32_t) * kernels::kRanksMax * kernels::kPeerSignals);
  allocations.zeroed(inbox_, 2 * ranks * few * sizeof(std::uint64_t));
  allocations.zeroed(products_, 2 * product_bytes);
  allocations.zeroed(few_, few * sizeof(float));
  allocations.zeroed(pass_, sizeof(std::uint32_t));
  if (auto result = allocations.result(); !result) return result;
  own_.signals = signals_.get<std::uint32_t>();
  own_.inbox = inbox_.get();
  own_.products[0] = products_.get();
  own_.products[1] = products_.get<char>() + product_bytes;
  return {};
}

// Everyone counts passes from here.
Result<void> PeerExchange::join(std::vector<Addresses> all) {
  constexpr std::uint32_t kFirstPass = 1;
  all_ = std::move(all);
  FirstError errors;
  errors.note(cudaDeviceSynchronize(), "joining GPUs");  // Whatever clears memory, too.
  errors.note(cudaMemcpy(pass_.get(), &kFirstPass, sizeof(kFirstPass), cudaMemcpyHostToDevice),
              "joining GPUs");
  errors.note(cudaDeviceSynchronize(), "joining GPUs");
  return errors.result();
}

kernels::PeerGroup PeerExchange::group() const {
  kernels::PeerGroup group = {};
  group.ranks = static_cast<int>(all_.size());
  group.rank = group.ranks > 1 ? share_.rank : 0;
  for (std::size_t i = 0; i < all_.size(); ++i) group.signals[i] = all_[i].signals;
  group.pass = pass_.get<std::uint32_t>();
  group.exchanges = exchanges_;
  return group;
}

int PeerExchange::exchange_few(void* out, int rows, bool stores) {
  kernels::PeerSumFew args = {group(), index_++};
  for (std::size_t i = 0; i < all_.size(); ++i) args.inbox[i] = all_[i].inbox;
  args.out = out;
  args.x = few_product();
  args.tokens = rows;
  args.width = width_;
  args.stores = stores ? 1 : 0;
  return spillway_peer_sum_few(&args, stream_);
}

void PeerExchange::begin_pass(int rows) {
  index_ = 0;
  in_parts_ = may_part_ && rows * width_ >= limits_.parted_numbers_min;
}

// Of the products of this exchange.
kernels::PeerNorm PeerExchange::next_norm() {
  kernels::PeerNorm args = {group(), index_};
  for (std::size_t i = 0; i < all_.size(); ++i) args.x[i] = all_[i].products[index_ % 2];
  ++index_;
  return args;
}

int PeerExchange::norm_sum(const kernels::RmsNorm& norm) {
  kernels::PeerNorm args = next_norm();
  args.out = norm.out;
  args.residual = norm.residual;
  args.weight = norm.weight;
  args.row_index = norm.row_index;
  args.rows = norm.rows;
  args.width = norm.width;
  args.epsilon = norm.epsilon;
  args.scales = norm.scales;
  return in_parts_ ? norm_parts(args) : spillway_peer_norm(&args, stream_);
}

int PeerExchange::norm_parts(const kernels::PeerNorm& norm) {
  kernels::PeerParts args = {norm};
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const Outlets& outlets = all_[i].outlets;
    args.out[i] = norm.scales != nullptr ? outlets.quantized : outlets.normed;
    args.scales[i] = outlets.row_scales;
  }
  return spillway_peer_parts(&args, stream_);
}

int PeerExchange::add_normed_sum(const kernels::AddNormed& norm) {
  kernels::PeerNorm args = next_norm();
  args.residual = norm.residual;
  args.weight = norm.weight;
  args.rows = norm.rows;
  args.width = norm.width;
  args.epsilon = norm.epsilon;
  return spillway_peer_norm(&args, stream_);
}

int PeerExchange::meet() {
  const kernels::PeerGroup all = group();
  return spillway_peer_meet(&all, exchanges_ - 1, stream_);
}

int PeerExchange::hand_out_tokens(int count) {
  kernels::PeerWords args = {group()};
  for (std::size_t i = 0; i < all_.size(); ++i) args.words[i] = all_[i].outlets.last_token;
  args.count = count;
  return spillway_peer_hand_out(&args, stream_);
}

}  // namespace spillway::local::cuda
