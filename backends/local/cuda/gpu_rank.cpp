#include "backends/local/cuda/gpu_rank.h"

#include <cuda_runtime_api.h>
#include <optional>
#include <string>

namespace spillway::local::cuda {

namespace {

// A warp takes 64 bytes of weights of a row at once; int4 is filled up to that.
bool takes(const DecoderShape& shape, Precision precision) {
  const bool bytes = precision == Precision::fp8 || precision == Precision::int8;
  return !bytes || (shape.width % 64 == 0 && shape.query_width() % 64 == 0 &&
                    shape.feed_forward_width % 64 == 0);
}

Error not_taken(Precision precision) {
  return {Errc::invalid_request,
          "precision: " + std::string(name_of(precision)) +
              " takes widths that are multiples of 64: choose bf16 or int4",
          "", std::nullopt};
}

Error several_gpus() {
  return {Errc::invalid_request,
          "precision: int8 and int4 run on one GPU: choose bf16 or fp8, or tensor_parallel: 1", "",
          std::nullopt};
}

// Latent rows have kernels in bf16 alone.
std::optional<Error> problem_of(const DecoderShape& shape, const CudaExecutorOptions& options) {
  if (!options.kv_e4m3 || !shape.latent.used()) return std::nullopt;
  return Error{Errc::invalid_request,
               "executor: cuda runs models of latent rows with kv_cache: bf16", "", std::nullopt};
}

constexpr int kFirstTuned = 256;  // Smaller steps take over what is found for it, or for a graph.

}  // namespace

Result<std::unique_ptr<GpuRank>> GpuRank::create(const DecoderShape& shape,
                                                 const CudaExecutorOptions& options,
                                                 std::unique_ptr<DecoderWeights> weights) {
  if (auto problem = problem_of(shape, options)) return *problem;
  std::unique_ptr<GpuRank> rank(new GpuRank(shape, options));
  if (auto prepared = rank->prepare(std::move(weights)); !prepared) return prepared.error();
  return rank;
}

GpuRank::~GpuRank() {
  if (stream_ == nullptr) return;
  cudaStreamSynchronize(stream_);
  graphs_.reset();
  cudaStreamDestroy(stream_);
}

Result<void> GpuRank::prepare(std::unique_ptr<DecoderWeights> weights) {
  if (auto state = prepare_state(); !state) return state;
  if (options_.precision != Precision::bf16) {
    const bool integer =
        options_.precision == Precision::int8 || options_.precision == Precision::int4;
    if (integer && shape_.share.ranks > 1) return several_gpus();
    if (!takes(shape_, options_.precision)) return not_taken(options_.precision);
    if (weights->layers().front().qkv.format == kernels::kBf16) {
      auto smaller = weights->packed(shape_, options_.precision);
      if (!smaller) return smaller.error();
      weights = std::move(*smaller);
    }
  }
  DecoderOptions decoder_options;
  decoder_options.kv_blocks = options_.kv_blocks;
  decoder_options.kv_e4m3 = options_.kv_e4m3;
  decoder_options.skinny_rows_max = options_.skinny_rows_max;
  decoder_options.packed_rows_max = options_.packed_rows_max;
  decoder_options.parted_numbers_min = options_.parted_numbers_min;
  auto decoder = Decoder::create(shape_, decoder_options, std::move(weights), *state_, stream_);
  if (!decoder) return decoder.error();
  decoder_ = std::move(*decoder);
  graphs_ = std::make_unique<DecodeGraphs>(*decoder_, *state_, stream_, options_.sequences_max);
  if (auto tuned = tune_prompts(); !tuned) return tuned;
  return shape_.share.ranks > 1 ? rehearse() : Result<void>();
}

// Every row is padding at first.
Result<void> GpuRank::prepare_state() {
  FirstError errors;
  errors.note(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  if (!errors.none()) return errors.result();
  StepLimits limits;
  limits.rows_max = options_.step_tokens_max;
  limits.sequences_max = options_.sequences_max;
  limits.pages_max = (shape_.context_max + kBlockTokens - 1) / kBlockTokens;
  limits.logit_rows_max = logit_rows_max(options_);
  auto state = StepState::create(limits, stream_);
  if (!state) return state.error();
  state_ = std::move(*state);
  for (int row = 0; row < limits.rows_max; ++row) state_->set(StepState::positions, row, -1);
  errors.note(state_->flush(), "step state");
  return errors.result();
}

// Steps with prompts come in all sizes, which the products round up.
Result<void> GpuRank::tune_prompts() {
  for (int rows = kFirstTuned; rows <= options_.step_tokens_max; rows += 128) {
    if (auto tuned = decoder_->tune(rows); !tuned) return tuned;
  }
  return {};
}

// Loads every kernel while no rank waits for another: loading one may have to wait until the
// device is idle.
Result<void> GpuRank::rehearse() {
  for (const int bucket : graphs_->buckets()) {
    if (auto tuned = decoder_->tune(bucket); !tuned) return tuned;
    if (auto enqueued = graphs_->enqueue_eagerly(bucket); !enqueued) return enqueued;
  }
  const int rows_max = options_.step_tokens_max;
  for (int rows = 2; rows <= rows_max; rows += rows < kFirstTuned ? 6 : 128) {
    if (auto enqueued = rehearse_prompt(rows); !enqueued) return enqueued;
  }
  FirstError errors;
  errors.note(cudaStreamSynchronize(stream_), "first passes");
  return errors.result();
}

Result<void> GpuRank::rehearse_prompt(int rows) {
  StepRows step;
  step.decodes = 1;
  step.chunks = 1;
  step.chunk_rows = rows - 1;
  step.chunk_rows_max = rows - 1;
  step.logits = 1;
  return decoder_->enqueue(step);
}

Result<void> GpuRank::join(std::span<const std::unique_ptr<GpuRank>> all) {
  PeerExchange* const exchange = decoder_->exchange();
  if (exchange == nullptr) return {};
  const DeviceGroup group{options_.first_device, static_cast<int>(all.size())};
  if (auto reached = reach_devices(group); !reached) return reached;
  std::vector<PeerExchange::Addresses> addresses;
  for (const auto& rank : all) addresses.push_back(rank->decoder_->exchange()->own());
  return exchange->join(std::move(addresses));
}

Result<void> GpuRank::capture_graphs() {
  for (const int bucket : graphs_->buckets()) {
    if (auto captured = graphs_->capture(bucket); !captured) return captured;
  }
  return {};
}

Result<void> GpuRank::pass(const StepLayout& layout) {
  FirstError errors;
  errors.note(state_->flush(), "step state");
  if (!errors.none()) return errors.result();
  if (!layout.rows.decodes_only) return decoder_->enqueue(layout.rows);
  const int bucket = layout.rows.decodes;
  if (graphs_->captured(bucket)) {
    errors.note(graphs_->launch(bucket), "decode graph");
  } else if (auto enqueued = graphs_->enqueue_eagerly(bucket); !enqueued) {
    return enqueued;
  }
  state_->advanced(bucket);
  return errors.result();
}

Result<void> GpuRank::draw(const StepLayout& layout, const Answers& answers) {
  const bool greedy = layout.drawing == Drawing::greedy;
  const StepState& state = *state_;
  // The draw of a decode is keyed by its advanced position, which is what `counter` holds in any
  // other step.
  const auto counter = layout.rows.decodes_only ? StepState::positions : StepState::counter;
  kernels::Sample args = {};
  args.token = answers.tokens;
  args.logits = decoder_->logits();
  args.temperature =
      greedy ? nullptr : reinterpret_cast<const float*>(state.device(StepState::temperature));
  args.top_k = state.device(StepState::top_k);
  args.top_p = reinterpret_cast<const float*>(state.device(StepState::top_p));
  args.seed = reinterpret_cast<const std::uint64_t*>(state.device(StepState::seed));
  args.counter = state.device(counter);
  args.slot = state.device(StepState::slot);
  args.last_token = state.device(StepState::last_token);
  args.rows = static_cast<int>(layout.logit_rows.size());
  args.vocabulary = shape_.vocabulary;
  FirstError errors;
  errors.note(spillway_sample(&args, stream_), "sampling");
  return errors.result();
}

Result<void> GpuRank::score(const StepLayout& layout, const Answers& answers) {
  if (!layout.scores) return {};
  const kernels::ScoreRows args = {answers.scores,
                                   decoder_->logits(),
                                   state_->device(StepState::wanted),
                                   state_->device(StepState::given),
                                   answers.tokens,
                                   static_cast<int>(layout.logit_rows.size()),
                                   shape_.vocabulary};
  FirstError errors;
  errors.note(spillway_score_rows(&args, stream_), "scoring");
  return errors.result();
}

Result<void> GpuRank::enqueue(const StepLayout& layout, const Answers& answers) {
  if (auto enqueued = pass(layout); !enqueued) return enqueued;
  if (layout.drawing == Drawing::on_host || layout.logit_rows.empty()) return {};
  if (shape_.share.rank == 0) {
    if (auto drawn = draw(layout, answers); !drawn) return drawn;
    if (auto scored = score(layout, answers); !scored) return scored;
  }
  FirstError errors;
  if (PeerExchange* exchange = decoder_->exchange()) {
    errors.note(exchange->hand_out_tokens(2 * options_.sequences_max), "handing out tokens");
  }
  return errors.result();
}

Result<void> GpuRank::read_logits(std::span<float> out) {
  FirstError errors;
  errors.note(cudaMemcpyAsync(out.data(), decoder_->logits(), out.size_bytes(),
                              cudaMemcpyDeviceToHost, stream_),
              "reading logits");
  errors.note(cudaStreamSynchronize(stream_), "step");
  return errors.result();
}

}  // namespace spillway::local::cuda
