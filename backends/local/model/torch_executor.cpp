#include "backends/local/model/torch_executor_internal.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace spillway::local {

namespace {

at::Tensor view_of(std::vector<std::int32_t>& values) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kInt);
}

}  // namespace

TorchExecutor::TorchExecutor(std::unique_ptr<Decoder> decoder, int kv_blocks, int threads)
    : decoder_(std::move(decoder)), kv_blocks_(kv_blocks), threads_(threads) {}

ExecutorShape TorchExecutor::shape() const {
  return {decoder_->spec().vocabulary, decoder_->spec().context_max, kv_blocks_, true, true};
}

Result<StepResult> TorchExecutor::run(std::span<const Slice> slices) {
  try {
    const at::InferenceMode no_gradients;
    // The library keeps this number for each calling thread: it must be set on the engine's.
    if (!std::exchange(threads_set_, true)) at::set_num_threads(threads_);
    lay_out(slices);
    ops::StepTensors step;
    step.ids = view_of(host_.ids);
    step.positions = view_of(host_.positions);
    step.slots = view_of(host_.slots);
    step.query_start = view_of(host_.query_start);
    step.context = view_of(host_.context);
    step.block_table = view_of(host_.block_table).view({-1, host_.table_width});
    step.logit_rows = view_of(host_.logit_rows);
    step.query_max = host_.query_max;
    step.context_max = host_.context_max;
    logits_ = decoder_->forward(step);
    const auto count = static_cast<std::size_t>(logits_.numel());
    return StepResult{{logits_.data_ptr<float>(), count}, {}};
  } catch (const std::exception& problem) {
    return Error{Errc::internal, problem.what(), "", std::nullopt};
  }
}

void TorchExecutor::lay_out(std::span<const Slice> slices) {
  for (auto* values : {&host_.ids, &host_.positions, &host_.slots, &host_.query_start,
                       &host_.context, &host_.logit_rows}) {
    values->clear();
  }
  std::size_t table_width = 0;
  host_.query_max = host_.context_max = 0;
  host_.query_start.push_back(0);
  for (const Slice& slice : slices) {
    const int count = static_cast<int>(slice.tokens.size());
    for (int i = 0; i < count; ++i) {
      const int position = slice.first_position + i;
      const auto block = slice.blocks[static_cast<std::size_t>(position / kBlockTokens)];
      host_.ids.push_back(slice.tokens[static_cast<std::size_t>(i)]);
      host_.positions.push_back(position);
      host_.slots.push_back(block * kBlockTokens + position % kBlockTokens);
    }
    const auto end = static_cast<std::int32_t>(host_.ids.size());
    for (int row = end - slice.logits_rows; row < end; ++row) host_.logit_rows.push_back(row);
    host_.query_start.push_back(end);
    host_.context.push_back(slice.first_position + count);
    host_.query_max = std::max(host_.query_max, count);
    host_.context_max = std::max(host_.context_max, slice.first_position + count);
    table_width = std::max(table_width, slice.blocks.size());
  }
  host_.table_width = static_cast<int>(table_width);
  host_.block_table.assign(slices.size() * table_width, 0);
  for (std::size_t b = 0; b < slices.size(); ++b) {
    std::copy(slices[b].blocks.begin(), slices[b].blocks.end(),
              host_.block_table.begin() + static_cast<std::ptrdiff_t>(b * table_width));
  }
}

}  // namespace spillway::local
