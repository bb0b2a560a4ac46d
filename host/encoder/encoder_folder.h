// A sentence encoder in the folder layout of Hugging Face and sentence-transformers: a BERT-style transformer with
// absolute positions, WordPiece, mean or first-token pooling, L2 norm.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "engine/text/transformer.h"
#include "engine/text/wordpiece.h"
#include "host/encoder/source.h"
#include "host/io/safetensors.h"
#include "kernels/status.h"

namespace tracer {

struct EncoderFolder {
  std::string path;
  // Sha256 of what decides the vectors: weights, vocabulary, tokenizer rules, shape, pooling, length limit, prompt.
  // Fields that decide nothing (names, training notes) may change without changing it.
  std::string digest;
  int64_t max_tokens = 0;  // of a sequence, the two special ones included; longer texts are cut
  std::string prompt;      // in front of every text, and part of it: of its tokens, its length and its mean
  WordPiece tokenizer;
  TransformerShape shape;
  TransformerWeights weights;  // views of the two below
  io::SafetensorsFile file;
  std::deque<std::vector<float>> converted;  // tensors that the file holds in another type than float32
};

// Reads `path`:
//   config.json              shape; model_type "bert", position_embedding_type "absolute"
//   model.safetensors        F32, F16, BF16 or F64 tensors, with or without the prefix "bert."
//   tokenizer.json           WordPiece, BertNormalizer, BertPreTokenizer, [CLS] text [SEP]; where it is absent,
//                            vocab.txt with tokenizer_config.json
//   modules.json             Transformer, Pooling and at most Normalize (anything else would change the vectors)
//   1_Pooling/config.json    mean, or the first token; absent: mean. With a prompt, not "include_prompt": false
//   config_sentence_transformers.json   prompts, and the name of the default one
// The length limit is max_seq_length of sentence_bert_config.json, else model_max_length of tokenizer_config.json, else
// max_position_embeddings of config.json, and never more than the last.
// kIo for a file that cannot be read; kBadInput, naming file and field with what was expected and what was found, for
// everything that this engine would not compute exactly. No code is executed. Cost: one pass over the weights.
Result<EncoderFolder> read_encoder_folder(const std::string& path, const PromptChoice& prompt = {});

}  // namespace tracer
