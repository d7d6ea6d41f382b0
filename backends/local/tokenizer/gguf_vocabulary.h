// A GGUF file's "tokenizer.ggml.*" metadata as a Tokenizer.
//
// Pure; any thread. The Tokenizer copies what it needs: the file may be closed afterwards.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/metadata.h"
#include "backends/local/tokenizer/tokenizer.h"

namespace spillway::tokenizer {

// Of byte-level BPE (tokenizer.ggml.model = "gpt2"), whose "tokenizer.ggml.pre" is known, or of
// SentencePiece's BPE ("llama"). Errors name the key.
Result<Tokenizer> tokenizer_from(const loader::Metadata& metadata);

// Whether a text begins with the begin token where the file does not say, as llama.cpp has it.
bool usually_adds_begin(const loader::Metadata& metadata);

}  // namespace spillway::tokenizer
