// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-run --generate: greedy tokens from token ids, with the times of prompt and generation.
#include "runtime/tool/RunCommand.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace whit {
namespace {

/// The first index of the largest value. NaN logits are an error of the model or of us, never a token.
whit_status largest(const float *logits, int64_t size, int64_t &index) {
  index = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (std::isnan(logits[i]))
      return fail(WHIT_INVALID, "logit %lld of the last row is NaN", (long long)i);
    if (logits[i] > logits[index])
      index = i;
  }
  return size > 0 ? WHIT_OK : fail(WHIT_INVALID, "the logits have no values");
}

/// The output of models that choose tokens themselves (passes/Encode/ChooseTokens.h).
constexpr char kNextTokens[] = "whit.next_tokens";

bool choosesTokens(const Running &running) {
  const std::vector<Argument> &arguments = running.manifest.arguments;
  return std::any_of(arguments.begin(), arguments.end(), [](const Argument &argument) {
    return argument.kind == ArgumentKind::Output && argument.type == ElementType::I64 && argument.name == kNextTokens;
  });
}

/// Appends tokens and gives the one after the last of them. Logits leave the device only if the model does not choose.
whit_status next(Running &running, const int64_t *tokens, int64_t count, int64_t &token) {
  if (!choosesTokens(running)) {
    const float *logits;
    int64_t size;
    whit_status status = whit_session_append(running.session, tokens, count, &logits, &size);
    return status ? status : largest(logits, size, token);
  }
  whit_tensor chosen;
  if (whit_status status = whit_session_append(running.session, tokens, count, nullptr, nullptr))
    return status;
  if (whit_status status = whit_session_output(running.session, kNextTokens, &chosen))
    return status;
  if (chosen.rank != 2 || chosen.dims[0] < 1 || chosen.dims[1] < 1)
    return fail(WHIT_INVALID, "output '%s' has no token", kNextTokens);
  token = static_cast<const int64_t *>(chosen.data)[chosen.dims[1] - 1];
  return token >= 0 ? WHIT_OK : fail(WHIT_INVALID, "a logit of the last row is NaN");
}

/// Takes all memory before the clock starts, and checks that the tokens fit.
whit_status reserveFor(Running &running, int64_t prompt, int64_t total) {
  int64_t context = whit_module_context(running.module);
  if (context && total > context)
    return fail(WHIT_LIMIT,
                "%lld prompt tokens and %lld more make %lld; the context is %lld; generate fewer or compile with a "
                "larger --context",
                (long long)prompt, (long long)(total - prompt), (long long)total, (long long)context);
  std::vector<whit_dim> dims;
  std::string length, sequence;
  for (const Argument &argument : running.manifest.arguments)
    if (argument.kind == ArgumentKind::State)
      length = argument.length;
  for (const Symbol &symbol : running.manifest.symbols)
    if (symbol.name == kLastRowsSymbol) {
      sequence = symbol.defaultSymbol;
      dims.push_back({symbol.name.c_str(), 1});
    }
  if (length.empty() || sequence.empty())
    return WHIT_OK;
  dims.push_back({sequence.c_str(), prompt});
  dims.push_back({length.c_str(), total});
  return whit_session_reserve(running.session, dims.data(), int32_t(dims.size()));
}

} // namespace

whit_status generate(Running &running) {
  const RunOptions &options = running.options;
  int64_t prompt = int64_t(options.promptIds.size());
  if (whit_status status = reserveFor(running, prompt, prompt + options.generate - 1))
    return status;

  std::vector<int64_t> tokens;
  int64_t token;
  double start = seconds(), prefilled = 0;
  if (whit_status status = next(running, options.promptIds.data(), prompt, token))
    return status;
  prefilled = seconds();
  for (;;) {
    tokens.push_back(token);
    bool stop = std::find(options.stopIds.begin(), options.stopIds.end(), token) != options.stopIds.end();
    if (stop || int64_t(tokens.size()) == options.generate)
      break;
    int64_t last = token;
    if (whit_status status = next(running, &last, 1, token))
      return status;
  }
  double end = seconds();
  double prefillRate = double(prompt) / (prefilled - start),
         decodeRate = tokens.size() > 1 ? double(tokens.size() - 1) / (end - prefilled) : 0;

  nlohmann::ordered_json &report = *running.report;
  report["tokens"] = tokens;
  report["prompt_tokens"] = prompt;
  report["prefill_tps"] = prefillRate;
  report["decode_tps"] = decodeRate;
  if (!options.json) {
    for (size_t i = 0; i < tokens.size(); ++i)
      std::printf("%s%lld", i ? "," : "", (long long)tokens[i]);
    std::printf("\n");
    std::fprintf(stderr, "prompt %.1f tokens/s, generation %.1f tokens/s\n", prefillRate, decodeRate);
  }
  return WHIT_OK;
}

} // namespace whit
