// Every id against Hugging Face's tokenizers. TRACER_TEST_PYTHON names an interpreter that has it; TRACER_TEST_MODEL,
// for real text, a folder with a tokenizer.json.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/text/wordpiece.h"
#include "tests/host/io_test_util.h"

namespace tracer {
namespace {

// Writes cases.bin: vocabularies, then blocks of lines with the ids that tokenizers gives them (class Cases reads it).
constexpr const char* kCommon = R"(
import glob, json, os, random, shutil, struct, subprocess, unicodedata
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

out = open('cases.bin', 'wb')

def numbers(*values): out.write(struct.pack(f'<{len(values)}i', *values))

def text(s):
    s = s.encode()
    numbers(len(s))
    out.write(s)

def write_vocab(vocab):
    numbers(1, len(vocab))
    for token, i in vocab.items():
        token = token.encode()
        out.write(struct.pack('<i', len(token)) + token + struct.pack('<i', i))

# clean_text, handle_chinese_chars, strip_accents, lowercase
def build(vocab, added, options, max_chars=100, prefix='##'):
    tok = Tokenizer(models.WordPiece(vocab, unk_token='[UNK]', continuing_subword_prefix=prefix,
                                     max_input_chars_per_word=max_chars))
    tok.normalizer = normalizers.BertNormalizer(*map(bool, options))
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.add_tokens(added)
    tok.post_processor = processors.TemplateProcessing(
        single='[CLS] $A [SEP]', special_tokens=[(t, tok.token_to_id(t)) for t in ('[CLS]', '[SEP]')])
    return tok

def write_block(tok, added, options, lines, max_tokens, max_chars=100, prefix='##'):
    tok.no_padding()
    tok.enable_truncation(max_tokens)
    numbers(2, *map(int, options), max_chars, max_tokens)
    text(prefix)
    numbers(len(added))
    for token in added:
        text(token.content)
        numbers(tok.token_to_id(token.content), token.single_word, token.lstrip, token.rstrip)
    numbers(len(lines))
    for start in range(0, len(lines), 1000):
        part = lines[start:start + 1000]
        for line, encoding in zip(part, tok.encode_batch_fast(part)):
            text(line)
            numbers(len(encoding.ids), *encoding.ids)

SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
SPECIAL_ADDED = [AddedToken(t, normalized=False, special=True) for t in SPECIAL]
ALL = (1, 1, 1, 1)
OPTIONS = [ALL, (1, 1, 1, 0), (1, 1, 0, 1), (1, 1, 0, 0), (0, 1, 1, 1), (1, 0, 1, 1), (0, 0, 0, 0)]

def vocab_of(tokens): return {t: i for i, t in enumerate(dict.fromkeys(SPECIAL + tokens))}
)";

// Each code point alone and between letters, under a vocabulary that holds every assigned character, so that whatever
// becomes of it shows.
constexpr const char* kCodePoints = R"(
def assigned(c): return unicodedata.category(c) not in ('Cn', 'Cs', 'Co') and c not in ' \n'

points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# What characters become, new ones in newer tables too; nothing beyond plane 1 has a lower case.
nfd, lower = normalizers.NFD(), normalizers.Lowercase()
cased = ''.join(chr(c) for c in points if c < 0x20000)
kept = {c for c in map(chr, points) if assigned(c)} | set(lower.normalize_str(cased) + nfd.normalize_str(cased)) - set(' \n')
vocab = vocab_of([p + c for c in sorted(kept) for p in ('', '##')])
write_vocab(vocab)
for options in [o for o in OPTIONS if o != (1, 1, 0, 0)]:  # (0, 0, 0, 0) shows what it would
    # The first set of options sees all; the others a sample of the ideographs, of Hangul, and of where there is nothing.
    some = points if options == ALL else [
        c for c in points if c < 0x3400 or 0xD7A4 <= c < 0x20000 or 0x2F800 <= c < 0x2FB00 or c % 31 == 0]
    lines = [' '.join(f'{chr(c)} a{chr(c)}b' for c in some[i:i + 64]) for i in range(0, len(some), 64)]
    write_block(build(vocab, SPECIAL_ADDED, options), SPECIAL_ADDED, options, lines, 1 << 20)

# Combining classes: which of two marks comes first, beside kept marks of classes 7 to 230; whether it is a starter.
ordered = [chr(c) for c in (0x1E94A, 0x1B44, 0x1D165, 0x8D9, 0x302E, 0x1D16D, 0x1E000)]
words = [f'a\U0001E000{chr(c)}\U0001E94Ab' for c in points if c < 0x3400 or 0xD7A4 <= c < 0x20000]
words += [f'a{m}{chr(c)}b a{chr(c)}{m}b' for c in points if unicodedata.category(chr(c))[0] == 'M' for m in ordered]
# Word characters: a token that must not touch one.
words += [f'<w>{chr(c)} {chr(c)}<w>' for c in points if c < 0x3400 or 0xA000 <= c < 0x34000 or c % 31 == 0]
added = SPECIAL_ADDED + [AddedToken('<w>', normalized=False, single_word=True)]
write_block(build(vocab, added, ALL), added, ALL, [' '.join(words[i:i + 64]) for i in range(0, len(words), 64)], 1 << 20)
)";

// Random lines of what is known to be hard, under a vocabulary with gaps and pieces of several characters.
constexpr const char* kRandom = R"(
random.seed(20240607)
def span(*ranges): return [chr(c) for first, last in ranges for c in range(first, last + 1)]
ALPHABETS = [
    list('abcdeABCDE'), list('aAeEoO') + span((0x300, 0x330), (0x340, 0x345)), span((0xC0, 0x17F)), span((0x1E00, 0x1EFF)),
    span((0x370, 0x3FF), (0x1F00, 0x1FFF)), list('aé\u0130\u0131\u1E9Eßſ\u03A3\u03C3\u03C2ǅǆﬁ\uA7CB\uA7DC\u1C89\u10A0\u13A0\uAB70'),
    list('中文字\u3400\uF900\uFA0E\uFAD9あカ。、「') + [chr(0x20000), chr(0x2A6DF), chr(0x2F800), chr(0x2EBF0), chr(0x30000)],
    list('한국어각') + span((0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2), (0x302E, 0x302F)),
    [chr(c) for c in (0x1F600, 0x1F468, 0x200D, 0x1F469, 0x1F3FD, 0xFE0F, 0x2764, 0x1F1E9, 0x1F1EA, 0x20E3, 0xE0067)],
    [chr(c) for c in (0, 1, 7, 9, 10, 11, 12, 13, 27, 32, 127, 0x85, 0xA0, 0xAD, 0x1680, 0x180E, 0x2003, 0x200B, 0x2028,
                      0x2029, 0x202E, 0x205F, 0x2060, 0x3000, 0xFEFF, 0xFFFD, 0xFFFF, 0xE000, 0x10FFFF, 0x378)],
    list('.,;:!?#\'"()[]{}<>@$%^&*+=|~`_/\\-') + list('“”‘’–—…¿¡§¶·«»€£©™\u166D\u061D\u2E52'),
    # Marks that are kept and have a class, with some that are dropped or are starters, to be put in order.
    span((0x8D4, 0x8E1), (0x1D165, 0x1D16F), (0x1E000, 0x1E006), (0x1E944, 0x1E94A), (0x302A, 0x302F)) +
    list('\u1B44\u1BAA\u1BF2\uA953\u1DFB\u0301\u0323\u0345\u034F\u0E38\u094D\u07FD\u1715\u1734\u1DCE'),
    span((0x900, 0x980), (0x980, 0x9FF), (0xD00, 0xD4D)), span((0x5D0, 0x5EA), (0x591, 0x5C7), (0x620, 0x660), (0xFB1D, 0xFB4F)),
    span((0x11938, 0x11945), (0x1D15E, 0x1D164), (0x1D1BB, 0x1D1C0), (0x10400, 0x10430), (0x10D50, 0x10D55), (0x16EA0, 0x16EA5)),
]
MARKS = next(a for a in ALPHABETS if '\u1DCE' in a)
flat = sorted({c for a in ALPHABETS for c in a})
nfd, lower = normalizers.NFD(), normalizers.Lowercase()
flat = sorted(set(flat) | {c for f in flat for c in nfd.normalize_str(f) + lower.normalize_str(nfd.normalize_str(f))})
pieces = [p + c for c in flat for p in ('', '##') if random.random() < 0.97]
for _ in range(6000):
    joined = ''.join(random.choices(random.choice(ALPHABETS), k=random.randint(2, 6)))
    if random.random() < 0.8: joined = lower.normalize_str(nfd.normalize_str(joined))
    pieces.append(random.choice(('', '##')) + joined)
vocab = vocab_of(pieces)
write_vocab(vocab)

def line(tokens):
    parts = []
    for _ in range(random.choice((0, 1, 2, 3, 5, 8, 13))):
        kind = random.random()
        if kind < 0.12: parts.append(random.choice(tokens))
        elif kind < 0.15: parts.append(random.choice(tokens)[:-1])
        elif kind < 0.18: parts.append(random.choice(tokens).swapcase())
        elif kind < 0.25: parts.append(''.join(random.choices(flat, k=random.randint(1, 12))))
        elif kind < 0.28: parts.append(random.choice(random.choice(ALPHABETS)) * random.randint(95, 105))
        elif kind < 0.285: parts.append('a' + ''.join(random.choices(MARKS, k=random.randint(20, 60))))
        elif kind < 0.30: parts.append(chr(random.choice((random.randrange(0xD800), random.randrange(0xE000, 0x110000)))))
        else: parts.append(''.join(random.choices(random.choice(ALPHABETS), k=random.randint(1, 10))))
        if random.random() < 0.4: parts.append(random.choice('     \t\n\u00A0\u3000'))
    return ''.join(parts)

def added(content, **flags): return AddedToken(content, normalized=False, **flags)
ODD = [added('ab'), added('abcd'), added('bc'), added('cde', single_word=True), added('de', single_word=True),
       added('É'), added('e\u0301'), added('中', single_word=True), added('<l>', lstrip=True), added('<r>', rstrip=True),
       added('<lr>', lstrip=True, rstrip=True), added('a b'), added('[SEP]x', single_word=True), added('##b')]
runs = [(options, SPECIAL_ADDED, 256, 100, '##', 6000) for options in OPTIONS]
runs += [(ALL, SPECIAL_ADDED + ODD, 256, 100, '##', 8000), ((0, 0, 0, 0), SPECIAL_ADDED + ODD, 1 << 20, 100, '##', 4000)]
runs += [(ALL, SPECIAL_ADDED + ODD, n, 100, '##', 800) for n in (2, 3, 4, 7, 16)]
runs += [(ALL, [], 256, c, p, 800) for c, p in ((0, '##'), (1, '##'), (5, ''), (9, 'a'), (100, '[U'), (100, '\u00E9'))]
for options, tokens, max_tokens, max_chars, prefix, count in runs:
    contents = [t.content for t in tokens] or ['a']
    lines = [line(contents) for _ in range(count)]
    write_block(build(vocab, tokens, options, max_chars, prefix), tokens, options, lines, max_tokens, max_chars, prefix)
)";

constexpr const char* kReal = R"(
tok = Tokenizer.from_file(os.path.join(os.environ['TRACER_TEST_MODEL'], 'tokenizer.json'))
state = json.loads(tok.to_str())
normalizer = state['normalizer']
assert normalizer['type'] == 'BertNormalizer' and state['model']['type'] == 'WordPiece', state['normalizer']
if normalizer['strip_accents'] is None: normalizer['strip_accents'] = normalizer['lowercase']
options = [normalizer[k] for k in ('clean_text', 'handle_chinese_chars', 'strip_accents', 'lowercase')]
lines = []
for path in sorted(glob.glob(os.path.join(os.environ.get('TRACER_TEST_DATA', 'none'), '*.jsonl'))):
    with open(path, encoding='utf-8') as rows: lines += [json.loads(row)['input'] for row in rows]
if shutil.which('apt-cache'):
    available = subprocess.run(['apt-cache', 'dumpavail'], capture_output=True).stdout.decode('utf-8', 'replace')
    descriptions = {p.split('\nDescription', 1)[1].split(':', 1)[-1] for p in available.split('\n\n') if '\nDescription' in p}
    lines += sorted(descriptions)[:5000]
write_vocab(tok.get_vocab(with_added_tokens=False))
write_block(tok, [t for _, t in sorted(tok.get_added_tokens_decoder().items())], options, lines, 256,
            state['model']['max_input_chars_per_word'], state['model']['continuing_subword_prefix'])
)";

class Cases {
 public:
  explicit Cases(std::string bytes) : bytes_(std::move(bytes)) {}

  bool at_end() const { return at_ == bytes_.size(); }

  int32_t number() {
    int32_t value = 0;
    if (at_ + 4 > bytes_.size()) {
      ADD_FAILURE() << "cases.bin is cut short";
      std::abort();
    }
    std::memcpy(&value, bytes_.data() + at_, 4);
    at_ += 4;
    return value;
  }
  std::string_view text() {
    const auto size = static_cast<size_t>(number());
    at_ += size;
    return std::string_view(bytes_).substr(at_ - size, size);
  }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

std::string readable(std::string_view text) {
  std::string out;
  for (char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, c >= ' ' && c < 127 ? "%c" : "\\x%02x", static_cast<uint8_t>(c));
    out += escaped;
  }
  return out;
}

class Oracle : public testing::Test {
 protected:
  // Runs the script and compares; how many lines there were.
  int64_t compare(const std::string& script) {
    const io::TempFolder folder;
    folder.write("script.py", kCommon + script);
    const std::string command = "cd '" + folder.root() + "' && '" + python() + "' script.py > output.txt 2>&1";
    if (std::system(command.c_str()) != 0) {
      ADD_FAILURE() << io::slurp(folder.path("output.txt"));
      return 0;
    }
    Cases cases(io::slurp(folder.path("cases.bin")));
    std::vector<std::pair<std::string, int32_t>> vocab;
    int64_t lines = 0;
    while (!cases.at_end()) {
      if (cases.number() == 1) {
        vocab.resize(static_cast<size_t>(cases.number()));
        for (auto& [token, id] : vocab) {
          token = cases.text();
          id = cases.number();
        }
      } else {
        lines += compare_block(vocab, cases);
      }
    }
    EXPECT_EQ(different_, 0) << "of " << lines << " lines";
    return lines;
  }

  static const char* python() { return std::getenv("TRACER_TEST_PYTHON"); }

 private:
  int64_t compare_block(const std::vector<std::pair<std::string, int32_t>>& vocab, Cases& cases) {
    WordPieceOptions options;
    options.clean_text = cases.number() != 0;
    options.handle_chinese_chars = cases.number() != 0;
    options.strip_accents = cases.number() != 0;
    options.lowercase = cases.number() != 0;
    options.max_input_chars_per_word = cases.number();
    const int32_t max_tokens = cases.number();
    options.prefix = cases.text();
    std::vector<AddedToken> added(static_cast<size_t>(cases.number()));
    for (AddedToken& token : added) {
      token.content = cases.text();
      token.id = cases.number();
      token.single_word = cases.number() != 0;
      token.lstrip = cases.number() != 0;
      token.rstrip = cases.number() != 0;
    }
    const Result<WordPiece> ours = WordPiece::make(vocab, added, options);
    EXPECT_TRUE(ours.ok()) << ours.status().message();
    const int32_t lines = cases.number();
    std::vector<int32_t> ids, wanted;
    for (int32_t i = 0; i < lines; ++i) {
      const std::string_view line = cases.text();
      wanted.resize(static_cast<size_t>(cases.number()));
      for (int32_t& id : wanted) id = cases.number();
      if (!ours.ok()) continue;
      ours->encode(line, max_tokens, ids);
      if (ids == wanted || ++different_ > 5) continue;
      ADD_FAILURE() << "options " << options.clean_text << options.handle_chinese_chars << options.strip_accents
                    << options.lowercase << ", prefix " << options.prefix << ", " << max_tokens << " tokens: \""
                    << readable(line) << "\"\n    ours " << testing::PrintToString(ids) << "\n  theirs "
                    << testing::PrintToString(wanted);
    }
    return lines;
  }

  int64_t different_ = 0;
};

#define SKIP_WITHOUT_PYTHON() \
  if (python() == nullptr) GTEST_SKIP() << "TRACER_TEST_PYTHON does not name a Python with tokenizers"

TEST_F(Oracle, EveryCodePoint) {
  SKIP_WITHOUT_PYTHON();
  EXPECT_GE(compare(kCodePoints), 17000);
}

TEST_F(Oracle, RandomLines) {
  SKIP_WITHOUT_PYTHON();
  EXPECT_GE(compare(kRandom), 50000);
}

TEST_F(Oracle, RealText) {
  SKIP_WITHOUT_PYTHON();
  if (std::getenv("TRACER_TEST_MODEL") == nullptr) GTEST_SKIP() << "TRACER_TEST_MODEL does not name a model's folder";
  if (std::getenv("TRACER_TEST_DATA") == nullptr) GTEST_SKIP() << "TRACER_TEST_DATA does not name a folder of logs";
  EXPECT_GE(compare(kReal), 20000);
}

}  // namespace
}  // namespace tracer
