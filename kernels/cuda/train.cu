#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/wide_softmax.cuh"

namespace tracer::cuda {
inline namespace TRACER_DEVICE_BUILD {

namespace {

// The active models, gathered side by side.
struct Gathered {
  std::vector<int64_t> models;
  std::vector<float> w, bias, scale;
  std::vector<int32_t> held_out, answers;
};

Gathered gather(const Context& c, const WideSoftmaxProblem& p, HostMatrix<const float> w, std::span<const float> b,
                std::span<const uint8_t> active) {
  Gathered g;
  for (size_t m = 0; m < active.size(); ++m) {
    if (active[m] != 0) g.models.push_back(static_cast<int64_t>(m));
  }
  const int64_t cols = static_cast<int64_t>(g.models.size()) * p.classes;
  g.w.resize(static_cast<size_t>(w.rows * cols));
  in_pieces(c, w.rows, cols * static_cast<int64_t>(sizeof(float)), [&](int64_t begin, int64_t count) {
    for (int64_t k = begin; k < begin + count; ++k) {
      for (size_t a = 0; a < g.models.size(); ++a) {
        std::copy_n(w.row(k) + g.models[a] * p.classes, p.classes,
                    g.w.data() + k * cols + static_cast<int64_t>(a) * p.classes);
      }
    }
  });
  for (size_t a = 0; a < g.models.size(); ++a) {
    const int64_t m = g.models[a];
    const int32_t held = p.held_out[static_cast<size_t>(m)];
    for (int64_t c = 0; c < p.classes; ++c) {
      const bool seen = p.class_seen(m, c) != 0;
      g.bias.push_back(seen ? b[static_cast<size_t>(m * p.classes + c)] : -std::numeric_limits<float>::infinity());
    }
    const auto out = std::count(p.fold.begin(), p.fold.end(), held);
    const int64_t rows = p.x.rows - (held < 0 ? 0 : static_cast<int64_t>(out));
    g.scale.push_back(rows > 0 ? static_cast<float>(1.0 / static_cast<double>(rows)) : 0.0f);
    g.held_out.push_back(held);
    // Of several models that hold a fold out the last one answers.
    bool last = held >= 0;
    for (size_t later = a + 1; later < g.models.size(); ++later) {
      last = last && p.held_out[static_cast<size_t>(g.models[later])] != held;
    }
    g.answers.push_back(last ? 1 : 0);
  }
  return g;
}

}  // namespace

Status wide_softmax(Context& c, const WideSoftmaxProblem& p, HostMatrix<const float> w, std::span<const float> b,
                    std::span<const uint8_t> active, std::span<double> loss, HostMatrix<float> grad_w,
                    std::span<float> grad_b, HostMatrix<float> held_out_probability) {
  const Gathered g = gather(c, p, w, b, active);
  const int64_t n = p.x.rows, d = p.x.cols, models = static_cast<int64_t>(g.models.size());
  const int64_t cols = models * p.classes;
  if (models == 0) return {};
  const bool gradient = grad_w.data != nullptr, want_held = held_out_probability.data != nullptr;
  const int64_t each = std::max<int64_t>(1, std::min({n, c.tuning.rows, c.tuning.wide_floats / cols}));

  // In declaration order: the gathered models and the rows' labels and folds.
  Result<device::Array<float>> weights = upload(c, std::span<const float>(g.w));
  if (!weights.ok()) return weights.status();
  Result<device::Array<float>> bias = upload(c, std::span<const float>(g.bias));
  if (!bias.ok()) return bias.status();
  Result<device::Array<float>> scale = upload(c, std::span<const float>(g.scale));
  if (!scale.ok()) return scale.status();
  Result<device::Array<int32_t>> held_out = upload(c, std::span<const int32_t>(g.held_out));
  if (!held_out.ok()) return held_out.status();
  Result<device::Array<int32_t>> answers = upload(c, std::span<const int32_t>(g.answers));
  if (!answers.ok()) return answers.status();
  Result<device::Array<int32_t>> label = upload(c, p.label);
  if (!label.ok()) return label.status();
  Result<device::Array<int32_t>> fold = upload(c, p.fold);
  if (!fold.ok()) return fold.status();
  Result<device::Array<float>> z = allocate<float>(c, each * cols);
  if (!z.ok()) return z.status();
  // Losses and bias gradients of every batch, to be added in the order of the batches.
  const int64_t batches = blocks_of(n, each);
  Result<device::Array<double>> row_loss = allocate<double>(c, each * models);
  if (!row_loss.ok()) return row_loss.status();
  Result<device::Array<double>> losses = allocate<double>(c, batches * models);
  if (!losses.ok()) return losses.status();
  Result<device::Array<float>> bias_sums = allocate<float>(c, gradient ? batches * cols : 0);
  if (!bias_sums.ok()) return bias_sums.status();
  Result<device::Array<float>> sum_w = allocate<float>(c, gradient ? d * cols : 0);
  if (!sum_w.ok()) return sum_w.status();
  TRACER_RETURN_IF_ERROR(device::fill_zero(*sum_w, c.compute));

  Lane<float> rows, held;
  TRACER_RETURN_IF_ERROR(rows.create(c, each, d));
  if (want_held) TRACER_RETURN_IF_ERROR(held.create(c, each, p.classes));
  const WideModels wide{models,          p.classes,          bias->global(),
                        scale->global(), held_out->global(), answers->global(),
                        label->global(), fold->global()};
  std::vector<uint8_t> answered(static_cast<size_t>(n), 0);  // rows that receive probabilities
  for (size_t i = 0; want_held && i < answered.size(); ++i) {
    for (size_t a = 0; a < g.models.size(); ++a) {
      if (g.answers[a] != 0 && g.held_out[a] == p.fold[i]) answered[i] = 1;
    }
  }
  TRACER_RETURN_IF_ERROR(stream_rows(
      c, n, each, [&](int slot, int64_t first, int64_t count) { return rows.fill(c, slot, p.x, first, count); },
      [&](int slot, int64_t first, int64_t count) -> Status {
        const device::Global<float> zs = z->global();
        if (d > 0) {
          TRACER_RETURN_IF_ERROR(product<float>(c, Trans::kNo, Trans::kNo, count, cols, d, rows.device(slot),
                                                weights->global(), false, zs));
        } else {
          TRACER_RETURN_IF_ERROR(device::fill_zero(*z, c.compute));
        }
        if (want_held) TRACER_RETURN_IF_ERROR(held.zero(c, slot));
        TRACER_RETURN_IF_ERROR(device::launch("cross_entropy_kernel", cross_entropy_kernel,
                                              {blocks_of(count * models, kWideThreads / device::kWarp), kWideThreads},
                                              c.compute, zs, first, count, wide, row_loss->global(), want_held,
                                              want_held ? held.device(slot) : device::Global<float>{}));
        const int64_t batch = first / each;
        TRACER_RETURN_IF_ERROR(
            (sum_columns<double, double>(c, row_loss->global(), count, models, losses->global() + batch * models)));
        if (!gradient) return {};
        TRACER_RETURN_IF_ERROR((sum_columns<float, float>(c, zs, count, cols, bias_sums->global() + batch * cols)));
        if (d == 0) return {};
        return product<float>(c, Trans::kYes, Trans::kNo, d, cols, count, rows.device(slot), zs, true, sum_w->global());
      },
      [&](int slot, int64_t, int64_t count) { return want_held ? held.fetch(c, slot, count) : Status(); },
      [&](int slot, int64_t first, int64_t count) {
        for (int64_t i = 0; want_held && i < count; ++i) {
          if (answered[static_cast<size_t>(first + i)] == 0) continue;
          std::copy_n(held.host(slot) + i * p.classes, p.classes, held_out_probability.row(first + i));
        }
        return Status();
      }));

  std::vector<double> batch_loss(static_cast<size_t>(batches * models));
  TRACER_RETURN_IF_ERROR(download(c, *losses, batch_loss.data()));
  for (int64_t a = 0; a < models; ++a) {
    double sum = 0;
    for (int64_t batch = 0; batch < batches; ++batch) sum += batch_loss[static_cast<size_t>(batch * models + a)];
    loss[static_cast<size_t>(g.models[static_cast<size_t>(a)])] =
        sum * static_cast<double>(g.scale[static_cast<size_t>(a)]);
  }
  if (!gradient) return {};
  std::vector<float> batch_bias(static_cast<size_t>(batches * cols)), all_w(static_cast<size_t>(d * cols));
  TRACER_RETURN_IF_ERROR(download(c, *bias_sums, batch_bias.data()));
  TRACER_RETURN_IF_ERROR(download(c, *sum_w, all_w.data()));
  in_pieces(c, d, cols * static_cast<int64_t>(sizeof(float)), [&](int64_t begin, int64_t count) {
    for (int64_t k = begin; k < begin + count; ++k) {
      for (int64_t a = 0; a < models; ++a) {
        std::copy_n(all_w.data() + k * cols + a * p.classes, p.classes,
                    grad_w.row(k) + g.models[static_cast<size_t>(a)] * p.classes);
      }
    }
  });
  for (int64_t a = 0; a < models; ++a) {
    const int64_t from = a * p.classes, to = g.models[static_cast<size_t>(a)] * p.classes;
    for (int64_t j = 0; j < p.classes; ++j) {
      double sum = 0;
      for (int64_t batch = 0; batch < batches; ++batch) {
        sum += static_cast<double>(batch_bias[static_cast<size_t>(batch * cols + from + j)]);
      }
      grad_b[static_cast<size_t>(to + j)] = static_cast<float>(sum);
    }
  }
  return {};
}

}  // namespace TRACER_DEVICE_BUILD
}  // namespace tracer::cuda
