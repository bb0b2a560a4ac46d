#include "host/cli/shared_flags.h"

#include "host/api/embed.h"

namespace tracer::cli {

void add_row_options(Flags& app, RowSource& o, bool labelled) {
  app.add_option(
      "--embed-model", o.encoder,
      "folder of the text encoder, in Hugging Face layout (default: the fetched all-MiniLM-L6-v2, or the one "
      "of the policy); with --embed-url the server's name of its model");
  add_embed_options(app, o.embed);
  app.add_option("--input-key", o.input_key, "field of the input (default: input, query, text, prompt or question)");
  app.add_option(
      "--label-key", o.label_key,
      labelled ? "field of the teacher's answer (default: teacher, teacher_output, label, intent, output or answer)"
               : "field of the teacher's answer; not needed here");
  app.add_option("--format", o.format, "auto (by the file's name), jsonl or csv")
      ->check(one_of({"auto", "jsonl", "csv"}))
      ->capture_default_str();
  app.add_option("--rejects", o.rejects, "file for rows that cannot be read, with line and reason");
  app.add_option("--max-bad-ratio", o.max_bad_ratio, "share of bad rows above which the run stops")
      ->check(unit_interval())
      ->capture_default_str();
}

void add_input_options(Flags& app, RowSource& o, bool labelled) {
  app.add_option("--embeddings", o.embeddings,
                 "vectors, one row a trace: .npy, float16/32/64 (default: X.npy beside X.jsonl; without it, text is "
                 "embedded)");
  add_row_options(app, o, labelled);
  app.finish([&o] {
    if (o.embeddings.empty() || !wants_encoder(o)) return std::string();
    return std::string("--embeddings gives vectors and ") + (o.embed.url.empty() ? "--embed-model" : "--embed-url") +
           " makes them: leave one out";
  });
}

void add_embed_options(Flags& app, EmbedServer& o) {
  constexpr char kServer[] = "Embedding server and cache";
  Flag* url = app.add_option("--embed-url", o.url,
                             "embed text by this server: https://api.openai.com/v1/embeddings, "
                             "http://localhost:8080/embed, ...; --embed-model names its model");
  url->group(kServer)->check([](const std::string& given) { return check_embed_url(given).message(); });
  const auto of_server = [&](Flag* option) { return option->needs(url)->group(kServer); };
  of_server(app.add_option("--embed-api", o.api,
                           "what the server speaks: auto goes by the path: .../embeddings and .../v1 openai, .../embed "
                           "tei (text-embeddings-inference), else json"))
      ->check(one_of({"auto", "openai", "tei", "json"}))
      ->capture_default_str();
  of_server(app.add_option("--embed-dimensions", o.dimensions, "openai: dimension to ask for"))
      ->check(in_range(1, 1 << 20));
  of_server(app.add_option("--embed-encoding", o.encoding, "openai: how vectors come; answers are read either way"))
      ->check(one_of({"float", "base64"}))
      ->capture_default_str();
  of_server(app.add_option("--embed-input-key", o.input_key, "json: key of the texts in a request"))
      ->capture_default_str();
  of_server(app.add_option("--embed-batch", o.batch, "texts of a request, at most; halved where the server refuses"))
      ->check(in_range(1, 1 << 16))
      ->capture_default_str();
  of_server(app.add_option("--embed-concurrency", o.concurrency,
                           "requests in flight, at most; fewer while the server pushes back"))
      ->check(in_range(1, 1024))
      ->capture_default_str();
  of_server(app.add_option("--embed-max-attempts", o.max_attempts, "of one request; being told to wait uses none up"))
      ->check(in_range(1, 1000))
      ->capture_default_str();
  of_server(app.add_option("--embed-timeout-seconds", o.timeout_seconds, "of one request"))
      ->check(in_range(0.001, 86'400.0))
      ->capture_default_str();
  of_server(
      app.add_option("--embed-give-up-seconds", o.give_up_seconds, "stop asking after so long without any answer"))
      ->check(positive())
      ->capture_default_str();
  of_server(app.add_option("--embed-key-env", o.key_env,
                           "environment variable with the API key (default: openai OPENAI_API_KEY, else none)"));
  of_server(app.add_option("--embed-key-file", o.key_file, "file with the API key, readable by its owner only"));
  of_server(app.add_option("--embed-ca-file", o.ca_file, "certificates to trust instead of the system's (PEM)"));
  app.add_option("--embed-cache", o.cache,
                 "keep vectors of text in this file, and take them from it; made where there is none (default: "
                 "$TRACER_EMBED_CACHE, else no cache)")
      ->envname("TRACER_EMBED_CACHE")
      ->group(kServer);
  app.add_option("--embed-cache-size", o.cache_bytes,
                 "of that file, at most: bytes, or 500MB, 4GB, ... (0: no limit); what was used longest ago goes first")
      ->as_bytes()
      ->default_str("4GB")
      ->group(kServer);
}

void add_local_encoder_options(Flags& app, EncoderRun& o) {
  app.add_option("--precision", o.precision,
                 "of the text encoder: float32 (default); bfloat16 or int8, faster on processors that have them")
      ->check(one_of({"float32", "bfloat16", "int8"}))
      ->excludes(app.get_option("--embed-url"));
  Flag* text = app.add_option("--embed-prompt", o.prompt.text,
                              "put this in front of every text, as the encoder was trained: \"query: \"; \"\" for "
                              "nothing (default: the default prompt of its config_sentence_transformers.json)");
  text->excludes(app.get_option("--embed-url"));
  app.add_option("--embed-prompt-name", o.prompt.name,
                 "put the prompt of this name in that file in front of every text")
      ->excludes(app.get_option("--embed-url"))
      ->excludes(text);
}

void add_description_options(Flags& app, DescriptionOptions& options) {
  Flag* source =
      app.add_option("--descriptions", options.source,
                     "what labels mean, to learn from where the log shows one few times: names (the labels' own; the "
                     "default), none, or a file of rows like the log's: a text and its label");
  app.add_option("--descriptions-embeddings", options.embeddings, "vectors of that file (default: as for the log)")
      ->needs(source);
}

void add_policy_options(Flags& app, PolicyOptions& options) {
  app.add_option("DIR", options.folder, "folder of the policy, as written by `tracer fit`")->required();
  app.add_option("--alpha", options.alpha, "certified target to serve (default: the one fit was asked for)")
      ->check(open_unit_interval());
}

void add_explain_source(Flags& app, ExplainSource& source) {
  app.add_option("--traces", source.input.traces,
                 "labelled rows (default: the log it was fitted on, of which only certify rows are used)");
  add_input_options(app, source.input, true);
  app.add_option("--group-by", source.group_by, "the key that fit was given, where it was");
  app.add_option("--slice", source.slice_keys, "key (of the row or its metadata) to slice by; may be repeated")
      ->one_value_each();
  Flag* curve =
      app.add_flag("--curve", source.curve, "fit parts of the log too, for what more traces would give (takes longer)");
  app.add_option("--more", source.more, "how many traces more the curve should tell of (default: as many as there are)")
      ->check(in_range(int64_t{1}, int64_t{1} << 40))
      ->needs(curve);
  app.add_option("--since", source.since,
                 "folder of an earlier policy to compare with (default: the version before, where update keeps them)");
}

}  // namespace tracer::cli
