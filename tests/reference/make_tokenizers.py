#!/usr/bin/env python3
"""Writes a model folder for each kind of tokenizer.json, with what transformers makes of texts: make_tokenizers.py FOLDER

FOLDER/NAME/ holds the tokenizer's files and a model of no use. Prints JSON: for each NAME a list with an object for each text: `text`; `plain` and `added`, its ids
without and with the tokens that encoding adds; `spans`, for each of `added` the characters that it stands for, or null; `whole` and `short`, what `added`
decode to with special tokens and without.
"""

import io
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece  # noqa: E402
import transformers  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

TEXTS = [
    "", " ", "a", "Hello world", "  two  spaces   and more ", "line\nbreak\r\n\ttab\n\n", "I'm sure, they don't: 3.14159 or 1,000!", "Zürich – „Schönes Haus“",
    "e\u0301 is é, ﬁne Ⅷ ²½ ＦＵＬＬ", "日本語のテキスト 한국어 Привет", "🏠 house 👍🏽 👩‍👩‍👧", "\u00a0no\u2003break\u200bzero\u0000nul", "unbelievably internationalised houses",
    "<s>bos</s> <unk> [CLS] a [SEP][MASK]", "<|im_start|>user\nHi<|im_end|> there", "x<|im_end|>y", "▁piece ##able", "x" * 120,
]
# How Llama 3 and Qwen 2 cut text into words.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CORPUS = [line for path in sorted(Path(__file__).parent.glob("*.py")) for line in path.read_text().splitlines()]


def unigram(**options):
    """A Unigram model of SentencePiece's: pieces with scores, and the rules by which it normalises."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([*TEXTS[1:], *CORPUS]), model_writer=model, model_type="unigram", minloglevel=2,
                                             character_coverage=0.99, hard_vocab_limit=False, **options)
    return sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())


def t5():
    """Pieces after T5's fashion: normalised, runs of spaces made one, the end token after the text."""
    proto = unigram(vocab_size=500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁"),
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def llama():
    """Pieces after Llama's fashion: nothing is normalised, what is no piece is spelt in bytes, the beginning token before the text."""
    proto = unigram(vocab_size=700, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def byte_level(special, digits):
    """A BPE model over bytes, trained on the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS.replace("DIGITS", str(digits))), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*TEXTS[1:], *CORPUS], trainer)
    return tokenizer


def llama3():
    """Bytes after Llama 3's fashion: up to three digits stay together, a word that is a token skips the merges, the beginning token before the text."""
    trained = json.loads(byte_level(["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"], digits=3).to_str())
    # No merge leads to it.
    trained["model"]["vocab"]["Ġinternationalised"] = len(trained["model"]["vocab"])
    trained["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    begin = processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                          special_tokens=[("<|begin_of_text|>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), begin])
    return tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}


def qwen():
    """Bytes after Qwen 2's fashion: composed characters, each digit alone, nothing around the text."""
    tokenizer = byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], digits=1)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def mistral():
    """Pieces with merges after Mistral's fashion: a space before the text, spaces as letters, what is no piece is spelt in bytes."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([*TEXTS[1:], *CORPUS]), model_writer=model, model_type="bpe", vocab_size=700,
                                             byte_fallback=True, character_coverage=0.99, normalization_rule_name="identity",
                                             remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2)
    pieces = [piece.piece for piece in sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).pieces]
    ids = {piece: number for number, piece in enumerate(pieces)}
    # Pieces stand in the order in which SentencePiece merged them; one may come of several pairs.
    merges = [(piece[:at], piece[at:]) for piece in pieces for at in range(1, len(piece)) if piece[:at] in ids and piece[at:] in ids]
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def bert():
    """BERT's: lower case without accents, words of pieces that continue after `##`."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789", *"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–„“", *"日本語のテキスト한국어привет"]
    words = ["hello", "world", "house", "##s", "##ing", "##able", "un", "##believ", "##ably", "inter", "##national", "##ised", "##tion", "the", "don", "i", "##i", "8"]
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters[:36]), *words])
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.add_special_tokens(special)
    tokenizer.add_special_tokens(["<|im_start|>", AddedToken("<|im_end|>", lstrip=True, rstrip=True)])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer, {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "eos_token": "[SEP]"}


def seen(folder):
    theirs, plain = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        added, encoding = theirs.encode(text), plain.encode(text)
        assert added == encoding.ids, (folder, text)
        spans = [span if sequence is not None else None for span, sequence in zip(encoding.offsets, encoding.sequence_ids)]
        yield {"text": text, "plain": theirs.encode(text, add_special_tokens=False), "added": added, "spans": spans,
               "whole": theirs.decode(added, skip_special_tokens=False), "short": theirs.decode(added, skip_special_tokens=True)}


goldens = {}
for make in (t5, llama, llama3, qwen, mistral, bert):
    folder = Path(sys.argv[1]) / make.__name__
    tokenizer, names = make()
    config = transformers.LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1,
                                      num_key_value_heads=1, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    goldens[make.__name__] = list(seen(folder))
json.dump(goldens, sys.stdout)
