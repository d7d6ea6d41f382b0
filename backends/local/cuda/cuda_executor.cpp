#include "backends/local/cuda/cuda_executor.h"

#include "backends/local/cuda/decoder_division.h"
#include "backends/local/cuda/gpu_rank.h"
#include "backends/local/cuda/rank_threads.h"

#include <array>
#include <cuda_runtime_api.h>
#include <deque>

namespace spillway::local::cuda {

namespace {

constexpr std::size_t kScoresEach = 1 + kernels::kLikeliestMax;  // Of a row.

class CudaExecutor final : public Executor {
 public:
  CudaExecutor(const DecoderShape& shape, const CudaExecutorOptions& options, int ranks)
      : shape_(shape),
        options_(options),
        threads_(ranks),
        ranks_(static_cast<std::size_t>(ranks)),
        slots_(2 * options.sequences_max) {}
  ~CudaExecutor() override;

  Result<void> prepare(RankWeights weights);

  ExecutorShape shape() const override {
    return {.vocabulary = shape_.vocabulary,
            .context_max = shape_.context_max,
            .kv_blocks = options_.kv_blocks,
            .heeds_masks = true,
            .tells_logits = true,
            .scored_rows_max = kScoredRowsMax,
            .tile_tokens = shape_.experts.used() ? 0 : Linear::kTileRows};
  }
  Result<StepResult> run(std::span<const Slice> slices) override;
  Result<NextStep> begin(std::span<const Slice> slices) override;
  Result<StepResult> finish() override;

 private:
  // Of a step: where its tokens go, and the mark that they are there. Two take turns.
  struct Outcome {
    PinnedMemory tokens;  // Written by the sampler itself, over the bus.
    PinnedMemory scores;
    CUevent_st* done = nullptr;
  };
  GpuRank& rank(int index) { return *ranks_[static_cast<std::size_t>(index)]; }
  Result<void> prepare_outcomes();
  Result<StepResult> read_logits(std::size_t rows);
  std::span<const ScoredToken> read_scores(const StepLayout& layout, const Outcome& outcome);

  const DecoderShape shape_;  // Whole.
  const CudaExecutorOptions options_;
  RankThreads threads_;
  std::vector<std::unique_ptr<GpuRank>> ranks_;
  TokenSlots slots_;
  std::array<Outcome, 2> outcomes_;
  std::deque<StepLayout> begun_;  // And not finished.
  std::uint64_t steps_begun_ = 0;
  std::uint64_t steps_finished_ = 0;
  std::vector<float> logits_;
  std::vector<ScoredToken> scored_;
};

CudaExecutor::~CudaExecutor() {
  (void)threads_.run([this](int index) {
    ranks_[static_cast<std::size_t>(index)].reset();
    return Result<void>();
  });
  for (const Outcome& outcome : outcomes_) cudaEventDestroy(outcome.done);
}

Result<void> CudaExecutor::prepare(RankWeights weights) {
  const int ranks = threads_.ranks();
  if (auto divides = check_division(shape_, ranks); !divides) return divides;
  auto created = threads_.run([&](int index) -> Result<void> {
    const auto at = static_cast<std::size_t>(index);
    if (auto device = use_device(options_.first_device + index); !device) return device;
    auto rank = GpuRank::create(shape_of(shape_, {index, ranks}), options_, std::move(weights[at]));
    if (!rank) return rank.error();
    ranks_[at] = std::move(*rank);
    return {};
  });
  if (!created) return created;
  if (auto joined = threads_.run([&](int index) { return rank(index).join(ranks_); }); !joined) {
    return joined;
  }
  if (auto prepared = prepare_outcomes(); !prepared) return prepared;
  if (!options_.graphs) return {};
  return threads_.run([&](int index) { return rank(index).capture_graphs(); });
}

Result<void> CudaExecutor::prepare_outcomes() {
  const auto rows = static_cast<std::size_t>(logit_rows_max(options_));
  Allocations allocations;
  FirstError errors;
  for (Outcome& outcome : outcomes_) {
    allocations.pinned(outcome.tokens, rows * sizeof(std::int32_t));
    allocations.pinned(outcome.scores, rows * kScoresEach * sizeof(kernels::TokenScore));
    errors.note(cudaEventCreateWithFlags(&outcome.done, cudaEventDisableTiming), "making an event");
  }
  if (auto allocated = allocations.result(); !allocated) return allocated;
  return errors.result();
}

// Of the last step enqueued.
Result<StepResult> CudaExecutor::read_logits(std::size_t rows) {
  logits_.resize(rows * static_cast<std::size_t>(shape_.vocabulary));
  if (auto read = rank(0).read_logits(logits_); !read) return read.error();
  StepResult result;
  result.logits = logits_;
  return result;
}

std::span<const ScoredToken> CudaExecutor::read_scores(const StepLayout& layout,
                                                       const Outcome& outcome) {
  scored_.assign(layout.logit_rows.size(), {});
  const auto* scores = outcome.scores.get<kernels::TokenScore>();
  for (std::size_t row = 0; row < scored_.size(); ++row, scores += kScoresEach) {
    const int likeliest = layout.logit_rows[row].likeliest;
    if (likeliest < 0) continue;
    scored_[row] = {scores[0].token, scores[0].logprob, scores[0].rank};
    for (int i = 1; i <= likeliest; ++i)
      scored_[row].likeliest.push_back({scores[i].token, scores[i].logprob});
  }
  return scored_;
}

Result<NextStep> CudaExecutor::begin(std::span<const Slice> slices) {
  if (auto device = use_device(options_.first_device); !device) return device.error();
  const Outcome& outcome = outcomes_[steps_begun_++ % outcomes_.size()];
  StepWriter writer(rank(0).state(), slots_);
  const auto bucket_for = [this](int decodes) { return rank(0).graphs().bucket_for(decodes); };
  StepLayout layout = writer.write(slices, bucket_for);
  for (int index = 1; index < threads_.ranks(); ++index) {
    rank(index).state().follow(rank(0).state());
  }
  const GpuRank::Answers answers = {outcome.tokens.get<std::int32_t>(),
                                    outcome.scores.get<kernels::TokenScore>()};
  const auto enqueued =
      threads_.run([&](int index) { return rank(index).enqueue(layout, answers); });
  if (!enqueued) return enqueued.error();
  slots_.end_step();
  FirstError errors;
  errors.note(cudaEventRecord(outcome.done, rank(0).stream()), "step");
  if (!errors.none()) return errors.result().error();
  const bool on_host = layout.drawing == Drawing::on_host;
  begun_.push_back(std::move(layout));
  return on_host ? NextStep::after_finish : NextStep::at_once;
}

Result<StepResult> CudaExecutor::finish() {
  const Outcome& outcome = outcomes_[steps_finished_++ % outcomes_.size()];
  const StepLayout layout = std::move(begun_.front());
  begun_.pop_front();
  const std::size_t rows = layout.logit_rows.size();
  if (layout.drawing == Drawing::on_host) return read_logits(rows);
  FirstError errors;
  errors.note(cudaEventSynchronize(outcome.done), "step");
  if (!errors.none()) return errors.result().error();
  StepResult result;
  result.sampled = {outcome.tokens.get<std::int32_t>(), rows};
  for (std::size_t row = 0; row < rows; ++row) {
    const LogitRow& own = layout.logit_rows[row];
    if (own.draws) slots_.record(own.sequence, result.sampled[row]);
  }
  if (layout.scores) result.scored = read_scores(layout, outcome);
  return result;
}

Result<StepResult> CudaExecutor::run(std::span<const Slice> slices) {
  if (auto begun = begin(slices); !begun) return begun.error();
  return finish();
}

}  // namespace

Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     RankWeights weights) {
  const int ranks = static_cast<int>(weights.size());
  auto executor = std::make_unique<CudaExecutor>(shape, options, ranks);
  if (auto prepared = executor->prepare(std::move(weights)); !prepared) return prepared.error();
  return std::unique_ptr<Executor>(std::move(executor));
}

Result<std::unique_ptr<Executor>> make_cuda_executor(const DecoderShape& shape,
                                                     const CudaExecutorOptions& options,
                                                     std::unique_ptr<DecoderWeights> weights) {
  RankWeights one;
  one.push_back(std::move(weights));
  return make_cuda_executor(shape, options, std::move(one));
}

}  // namespace spillway::local::cuda
