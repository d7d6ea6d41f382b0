#include "backends/local/cuda/cuda_executor.h"

#include "backends/local/cuda/decode_graphs.h"
#include "backends/local/cuda/step_layout.h"

#include <array>
#include <cuda_runtime_api.h>
#include <deque>

namespace spillway::local::cuda {

namespace {

// A warp takes 64 weights of a row at once.
bool takes_e4m3(const DecoderShape& shape) {
  return shape.width % 64 == 0 && shape.query_width() % 64 == 0 &&
         shape.feed_forward_width % 64 == 0;
}

Error no_e4m3() {
  return {Errc::invalid_request,
          "precision: fp8 takes widths that are multiples of 64: choose bf16", "", std::nullopt};
}

class CudaExecutor final : public Executor {
 public:
  CudaExecutor(const DecoderShape& shape, const CudaExecutorOptions& options)
      : shape_(shape), options_(options), slots_(2 * options.sequences_max) {}
  ~CudaExecutor() override;

  Result<void> prepare(std::unique_ptr<DecoderWeights> weights);

  ExecutorShape shape() const override {
    return {shape_.vocabulary, shape_.context_max, options_.kv_blocks};
  }
  Result<StepResult> run(std::span<const Slice> slices) override;
  Result<NextStep> begin(std::span<const Slice> slices) override;
  Result<StepResult> finish() override;

 private:
  // Of a step: where its tokens go, and the mark that they are there. Two take turns.
  struct Outcome {
    PinnedMemory tokens;  // Written by the sampler itself, over the bus.
    CUevent_st* done = nullptr;
  };
  Result<void> tune_prompts();
  Result<void> capture_graphs();
  Result<void> enqueue(const StepLayout& layout);
  Result<void> prepare_outcomes();
  Result<void> draw(const StepLayout& layout, const Outcome& outcome);
  Result<StepResult> read_logits(std::size_t rows);

  const DecoderShape shape_;
  const CudaExecutorOptions options_;
  CUstream_st* stream_ = nullptr;
  std::unique_ptr<StepState> state_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<DecodeGraphs> graphs_;
  TokenSlots slots_;
  std::array<Outcome, 2> outcomes_;
  std::deque<StepLayout> begun_;  // And not finished.
  std::uint64_t steps_begun_ = 0;
  std::uint64_t steps_finished_ = 0;
  std::vector<float> logits_;
};

CudaExecutor::~CudaExecutor() {
  if (stream_ == nullptr) return;
  cudaStreamSynchronize(stream_);
  for (const Outcome& outcome : outcomes_) cudaEventDestroy(outcome.done);
  graphs_.reset();
  cudaStreamDestroy(stream_);
}

Result<void> CudaExecutor::prepare(std::unique_ptr<DecoderWeights> weights) {
  FirstError errors;
  errors.note(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  if (!errors.none()) return errors.result();
  StepLimits limits;
  limits.rows_max = options_.step_tokens_max;
  limits.sequences_max = options_.sequences_max;
  limits.pages_max = (shape_.context_max + kBlockTokens - 1) / kBlockTokens;
  limits.logit_rows_max = options_.sequences_max;
  auto state = StepState::create(limits, stream_);
  if (!state) return state.error();
  state_ = std::move(*state);
  if (options_.e4m3) {
    if (!takes_e4m3(shape_)) return no_e4m3();
    auto smaller = weights->in_e4m3(shape_);
    if (!smaller) return smaller.error();
    weights = std::move(*smaller);
  }
  DecoderOptions decoder_options;
  decoder_options.kv_blocks = options_.kv_blocks;
  decoder_options.skinny_rows_max = options_.skinny_rows_max;
  auto decoder = Decoder::create(shape_, decoder_options, std::move(weights), *state_, stream_);
  if (!decoder) return decoder.error();
  decoder_ = std::move(*decoder);
  if (auto prepared = prepare_outcomes(); !prepared) return prepared;
  if (auto tuned = tune_prompts(); !tuned) return tuned;
  graphs_ = std::make_unique<DecodeGraphs>(*decoder_, *state_, stream_, options_.sequences_max);
  return options_.graphs ? capture_graphs() : Result<void>();
}

Result<void> CudaExecutor::prepare_outcomes() {
  const auto rows = static_cast<std::size_t>(options_.sequences_max);
  Allocations allocations;
  FirstError errors;
  for (Outcome& outcome : outcomes_) {
    allocations.pinned(outcome.tokens, rows * sizeof(std::int32_t));
    errors.note(cudaEventCreateWithFlags(&outcome.done, cudaEventDisableTiming), "making an event");
  }
  if (auto allocated = allocations.result(); !allocated) return allocated;
  return errors.result();
}

// Steps with prompts come in all sizes, which the products round up.
Result<void> CudaExecutor::tune_prompts() {
  constexpr int kFirst = 256;  // Smaller ones take over what is found for it, or for a graph.
  for (int rows = kFirst; rows <= options_.step_tokens_max; rows += 128) {
    if (auto tuned = decoder_->tune(rows); !tuned) return tuned;
  }
  return {};
}

Result<void> CudaExecutor::capture_graphs() {
  for (int row = 0; row < options_.sequences_max; ++row) state_->set(StepState::positions, row, -1);
  FirstError errors;
  errors.note(state_->flush(), "step state");
  if (!errors.none()) return errors.result();
  for (const int bucket : graphs_->buckets()) {
    if (auto captured = graphs_->capture(bucket); !captured) return captured;
  }
  return {};
}

Result<void> CudaExecutor::enqueue(const StepLayout& layout) {
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

Result<void> CudaExecutor::draw(const StepLayout& layout, const Outcome& outcome) {
  const bool greedy = layout.drawing == Drawing::greedy;
  const StepState& state = *state_;
  // The draw of a decode is keyed by its advanced position, which is what `counter` holds in any
  // other step.
  const auto counter = layout.rows.decodes_only ? StepState::positions : StepState::counter;
  kernels::Sample args = {};
  args.token = outcome.tokens.get<std::int32_t>();
  args.logits = decoder_->logits();
  args.temperature =
      greedy ? nullptr : reinterpret_cast<const float*>(state.device(StepState::temperature));
  args.top_k = state.device(StepState::top_k);
  args.top_p = reinterpret_cast<const float*>(state.device(StepState::top_p));
  args.seed = reinterpret_cast<const std::uint64_t*>(state.device(StepState::seed));
  args.counter = state.device(counter);
  args.slot = state.device(StepState::slot);
  args.last_token = state.device(StepState::last_token);
  args.rows = static_cast<int>(layout.logit_sequences.size());
  args.vocabulary = shape_.vocabulary;
  FirstError errors;
  errors.note(spillway_sample(&args, stream_), "sampling");
  return errors.result();
}

// Of the last step enqueued.
Result<StepResult> CudaExecutor::read_logits(std::size_t rows) {
  logits_.resize(rows * static_cast<std::size_t>(shape_.vocabulary));
  FirstError errors;
  errors.note(cudaMemcpyAsync(logits_.data(), decoder_->logits(), logits_.size() * sizeof(float),
                              cudaMemcpyDeviceToHost, stream_),
              "reading logits");
  errors.note(cudaStreamSynchronize(stream_), "step");
  if (!errors.none()) return errors.result().error();
  StepResult result;
  result.logits = logits_;
  return result;
}

Result<NextStep> CudaExecutor::begin(std::span<const Slice> slices) {
  const Outcome& outcome = outcomes_[steps_begun_++ % outcomes_.size()];
  StepWriter writer(*state_, slots_);
  const auto bucket_for = [this](int decodes) { return graphs_->bucket_for(decodes); };
  StepLayout layout = writer.write(slices, bucket_for);
  if (auto enqueued = enqueue(layout); !enqueued) return enqueued.error();
  const bool on_host = layout.drawing == Drawing::on_host;
  if (!on_host && !layout.logit_sequences.empty()) {
    if (auto drawn = draw(layout, outcome); !drawn) return drawn.error();
  }
  slots_.end_step();
  FirstError errors;
  errors.note(cudaEventRecord(outcome.done, stream_), "step");
  if (!errors.none()) return errors.result().error();
  begun_.push_back(std::move(layout));
  return on_host ? NextStep::after_finish : NextStep::at_once;
}

Result<StepResult> CudaExecutor::finish() {
  const Outcome& outcome = outcomes_[steps_finished_++ % outcomes_.size()];
  const StepLayout layout = std::move(begun_.front());
  begun_.pop_front();
  const std::size_t rows = layout.logit_sequences.size();
  if (layout.drawing == Drawing::on_host) return read_logits(rows);
  FirstError errors;
  errors.note(cudaEventSynchronize(outcome.done), "step");
  if (!errors.none()) return errors.result().error();
  StepResult result;
  result.sampled = {outcome.tokens.get<std::int32_t>(), rows};
  for (std::size_t row = 0; row < rows; ++row)
    slots_.record(layout.logit_sequences[row], result.sampled[row]);
  return result;
}

Result<StepResult> CudaExecutor::run(std::span<const Slice> slices) {
  if (auto begun = begin(slices); !begun) return begun.error();
  return finish();
}

}  // namespace

Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     std::unique_ptr<DecoderWeights> weights) {
  auto executor = std::make_unique<CudaExecutor>(shape, options);
  if (auto prepared = executor->prepare(std::move(weights)); !prepared) return prepared.error();
  return std::unique_ptr<Executor>(std::move(executor));
}

}  // namespace spillway::local::cuda
