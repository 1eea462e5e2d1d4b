#!/usr/bin/env python3
"""Tokenises texts as llama.cpp does: make_tokenizer_goldens.py SMOLLM2.gguf

Prints JSON: `texts`; `bpe`, for each name of pre-tokenisation rules the ids of every text with SmolLM2's vocabulary and `more` under those
rules, without and with the tokens that encoding adds; `more`, the tokens and merges without which some of the rules would not show; and
`spm`, the ids of a small SentencePiece vocabulary (trained here), with the vocabulary.
"""

import io
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
from llama_cpp import Llama

# Every name that trainer/data/src/tokenizer/pre_tokenizer.rs knows, those with the same rules in a line.
RULES = [
    "default",
    "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "mpt", "olmo", "jais", "roberta-bpe",
    "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
    "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
    "smaug-bpe", "dbrx",
    "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan",
    "tekken",
]
DIGITS = "0123456789"
PAIRS = [left + right for left in DIGITS for right in DIGITS]
TRIPLES = [pair + digit for pair in PAIRS for digit in DIGITS]
# SmolLM2 has a token for each digit alone, and merges that lead to every token. With these it shows how many digits stay together, and
# whether a word that is a token as a whole skips the merges: none leads to the last.
MORE = {
    "tokens": [*PAIRS, *TRIPLES, "\u0120XMLHttp"],
    "merges": [*(f"{pair[0]} {pair[1]}" for pair in PAIRS), *(f"{triple[:2]} {triple[2]}" for triple in TRIPLES)],
}
ALPHABETS = [
    "abc ABC  \n\n\t", "0123456789 .,", "'s't're'VE'll'D ", "éÀßñ日本語한국Привет ", "🏠👍🏽‍😀 ", "\r\n\t \u00a0\u2003", "!?{}[]()<>|_-+=*/\\\"`~@#$%^&;:",
    "the house in Bath has three rooms and a garden ", "²½Ⅷ٣४ ", "\u200b\u0301\u0000\u007f x",
]
TEXTS = [
    "", " ", "  ", "\n", "a", " a", "Hello world", "Hello  world ", " leading", "trailing ", "1234567890", "3.14159", "I'm you're WE'LL they'd",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|><|im_end|>", "x<|im_end|>y", "<|im_end|> spaced", "<|endoftext|>",
    "def f(x):\n    return x  # ok\n\n\n", "https://example.org/a?b=c&d=1", "Zürich – „Schönes Haus“", "日本語のテキスト", "🏠 house 👍🏽", "e\u0301", "\u00a0nbsp",
    "a\r\nb\rc", "\t\ttabs", "mixed 12ab34 CD56", "___under__score", "...", "!!!", "a'b''c", "ÀÉÎ àéî", "camelCaseWord XMLHttp", "   \n   \n x", "<s>bos</s> <unk>", "▁piece ▁ x",
]


def texts():
    draw = random.Random(4)
    made = list(TEXTS)
    for _ in range(300):
        parts = ["".join(draw.choices(draw.choice(ALPHABETS), k=draw.randint(1, 12))) for _ in range(draw.randint(1, 5))]
        made.append("".join(parts))
    return made


def ids(path, made):
    model = Llama(str(path), vocab_only=True, verbose=False)
    plain = [model.tokenize(text.encode(), add_bos=False, special=True) for text in made]
    added = [model.tokenize(text.encode(), add_bos=True, special=True) for text in made]
    return {"plain": plain, "added": added}


def write(path, name, tokens, types, scores=None, merges=None, pre=None, special=()):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(name)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores:
        writer.add_token_scores(scores)
    if merges:
        writer.add_token_merges(merges)
    for key, value in special:
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def bpe(folder, smollm2, made):
    fields = gguf.GGUFReader(smollm2).fields

    def strings(key):
        field = fields[f"tokenizer.ggml.{key}"]
        return [bytes(field.parts[part]).decode() for part in field.data]

    types = [int(fields["tokenizer.ggml.token_type"].parts[part][0]) for part in fields["tokenizer.ggml.token_type"].data]
    special = [(key, int(fields[f"tokenizer.ggml.{key}_token_id"].contents())) for key in ("bos", "eos")]
    tokens, merges = strings("tokens"), strings("merges")
    assert not set(tokens) & set(MORE["tokens"])
    tokens, merges, types = tokens + MORE["tokens"], merges + MORE["merges"], types + [1] * len(MORE["tokens"])
    result = {}
    for pre in RULES:
        path = folder / f"{pre}.gguf"
        write(path, "gpt2", tokens, types, merges=merges, pre=pre, special=special)
        result[pre] = ids(path, made)
    return result


def spm(folder, made):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([*made, *TEXTS, *(line for line in Path(__file__).read_text().splitlines())] * 3), model_writer=model,
                                             model_type="bpe", vocab_size=700, byte_fallback=True, character_coverage=0.98, minloglevel=2,
                                             normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False)
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    count = trained.get_piece_size()
    tokens = [trained.id_to_piece(number) for number in range(count)] + ["[INST]", "[/INST]"]
    scores = [trained.get_score(number) for number in range(count)] + [0.0, 0.0]
    types = [2 if trained.is_unknown(number) else 3 if trained.is_control(number) else 6 if trained.is_byte(number) else 1 for number in range(count)] + [4, 3]
    path = folder / "spm.gguf"
    write(path, "llama", tokens, types, scores=scores, special=[("bos", 1), ("eos", 2), ("unknown", 0)])
    made = [*made, "[INST] Hi [/INST] there", "[INST][/INST]", "a[INST]b"]
    return {"tokens": tokens, "scores": scores, "types": types, "texts": made, **ids(path, made)}


def main():
    made = texts()
    # llama.cpp writes to standard error and closes it now and then; only JSON goes to standard output.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {"texts": made, "more": MORE, "bpe": bpe(folder, sys.argv[1], made), "spm": spm(folder, made)}
    json.dump(result, sys.stdout)
    print()
    sys.stdout.flush()
    os._exit(0)


main()
