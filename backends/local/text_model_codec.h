// The text of a model file (TextModel) in the engine's words (TextCodec).
#pragma once

#include "backends/contract/error.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/loader/model_file.h"

#include <memory>

namespace spillway::local {

// Whether what a request leaves open of sampling is as the model's makers say, or as OpenAI does.
enum class SamplingOf { model, openai };

// Errors are TextModel::from_file's. The file may be closed afterwards.
Result<std::unique_ptr<TextCodec>> make_text_model_codec(const loader::ModelFile& file,
                                                         SamplingOf sampling = SamplingOf::model);

}  // namespace spillway::local
