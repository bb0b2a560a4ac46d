// The transformer of engine/text/transformer.h on a processor's tile unit: matrix products in bfloat16 or int8, all
// between them in float32 while a block of rows is in the caches. A row depends on its own sequence alone.
#pragma once

#include <memory>

#include "engine/text/transformer.h"

namespace tracer {

// Whether TileBert computes this shape at this precision on this processor.
bool tile_bert_fits(const TransformerShape& shape, Precision precision);

// Requires tile_bert_fits().
std::unique_ptr<Transformer> make_tile_bert(const TransformerShape& shape, const TransformerWeights& weights,
                                            Precision precision);

}  // namespace tracer
