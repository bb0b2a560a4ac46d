// A BERT-style transformer: token ids in, one unit vector a sequence out. Architecture: Devlin et al. 2018,
// arXiv:1810.04805; sentence vectors by pooling: Reimers and Gurevych 2019, arXiv:1908.10084. The arithmetic is
// libtorch's, in a module of its own (engine/torch), opened when a command first needs it: nothing else loads libtorch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/status.h"

namespace tracer {

// Of the matrix products; sums, norms and the pooled vector are float32 in all. int8: both sides rotated alike, weights
// then in steps of their output's own, activations in steps of their token's own. Names are frozen: they are written to
// files.
enum class Precision { kFloat32, kBfloat16, kInt8 };
inline constexpr char kPrecisions[] = "float32, bfloat16 or int8";  // for messages
const char* to_string(Precision precision);                         // "float32", "bfloat16", "int8"
std::optional<Precision> parse_precision(std::string_view name);

enum class HiddenActivation { kGelu, kGeluTanh, kRelu };
enum class Pooling { kMean, kFirst };  // of all tokens, or the first token's vector ("CLS")

struct TransformerShape {
  int64_t hidden = 0;  // dimension of the vectors; a multiple of heads
  int64_t heads = 0;
  int64_t intermediate = 0;
  int64_t vocabulary = 0;
  int64_t positions = 0;  // longest sequence
  double norm_epsilon = 0;
  HiddenActivation activation = HiddenActivation::kGelu;
  Pooling pooling = Pooling::kMean;
};

// Views of float32 numbers, row-major; a linear map's w is out x in.
struct TransformerWeights {
  struct Linear {
    HostMatrix<const float> w;
    const float* b = nullptr;
  };
  struct Norm {
    const float* scale = nullptr;
    const float* shift = nullptr;
  };
  struct Layer {
    Linear query, key, value, attention_output;
    Norm attention_norm;
    Linear up, down;
    Norm output_norm;
  };
  HostMatrix<const float> word, position;  // vocabulary x hidden, positions x hidden
  const float* type = nullptr;             // hidden: of token type 0, the only one here
  Norm embedding_norm;
  std::vector<Layer> layers;
};

// Sequences one after the other: sequence i is ids[start[i]] .. ids[start[i + 1] - 1].
struct TokenBatch {
  std::vector<int32_t> ids;
  std::vector<int64_t> start = {0};

  int64_t sequences() const { return static_cast<int64_t>(start.size()) - 1; }
};

class Transformer {
 public:
  virtual ~Transformer() = default;
  // out: sequences x hidden, unit rows. Requires 1 to `positions` tokens a sequence, each below `vocabulary`. No
  // padding is computed: linear maps see all tokens side by side, attention each run of sequences of equal length, so
  // batches in order of length are the fast ones. Computes on the calling thread; thread-safe. A row depends on the
  // other rows of its batch by rounding alone; the same batch gives the same bytes. kInternal, with what libtorch said,
  // when it fails; kOutOfMemory.
  virtual Status encode(const TokenBatch& batch, HostMatrix<float> out) const = 0;
  // Whether a row's bytes depend on its own sequence alone, not on the batch.
  virtual bool rows_stand_alone() const = 0;
  // Of a batch that it computes at its full rate. On a CPU activations stay near the caches and a matrix product is
  // tall enough.
  virtual int64_t batch_tokens() const { return 1024; }
};

// What `engine/torch` exports under kTransformerModuleSymbol.
struct TransformerModule {
  int interface;             // kTransformerModuleInterface
  const char* (*version)();  // of the libtorch it was built with
  Status (*check)();         // kDevice where another version of libtorch runs
  // Opens libtorch's CUDA half, from the folder of the libtorch that runs. kDevice, saying what is missing, where there
  // is none, it cannot be loaded, or finds no device of that number. Cost: seconds the first time it is there.
  Status (*open_cuda)(int device);
  // Copies the weights. On the CPU, or on a CUDA device: as open_cuda. kBadInput where int8 is asked of a processor, or
  // a shape, that has no way to compute it, or of a GPU.
  Status (*make)(const TransformerShape&, const TransformerWeights&, Precision, std::optional<int> cuda_device,
                 std::unique_ptr<Transformer>*);
};
inline constexpr int kTransformerModuleInterface = 4;
inline constexpr char kTransformerModuleSymbol[] = "tracer_transformer_module";

// Opens libtracer_torch.so (once; it stays open) at $TRACER_TORCH_MODULE, else beside the program or where
// an installed tree has it (engine/text/own_files.h).
// The libtorch that runs is that in the folder $TRACER_TORCH_LIB, else the one it was built with. kDevice, saying what
// the loader said, when either cannot be opened, or is of another build. Thread-safe. Cost: 0.2 to 0.4 s the first
// time.
Result<const TransformerModule*> open_transformer_module();

}  // namespace tracer
