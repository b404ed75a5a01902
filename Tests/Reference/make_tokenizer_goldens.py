"""Write the tokenizer fixtures and what transformers 4.49 makes of a few hundred strings.

    .venv/bin/python make_tokenizer_goldens.py --clip-bpe open_clip_torch-*.whl --out ../DiffusionTests/Fixtures/tokenizers

Needs transformers 4.49.0, tokenizers, sentencepiece and protobuf, and *no* ftfy. `t5/` holds a small unigram model
with T5's normalization, `clip/` the first merges of CLIP's; `t5.json` and `clip.json` hold the strings with their ids, the
padding left out. `t5.json` has the same strings under several `tokenizer_config.json`s.
"""
import argparse, gzip, io, json, os, random, shutil, tempfile, zipfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2
from transformers import CLIPTokenizer, T5TokenizerFast

from tokenizer_strings import HAND, WORDS, generated

CLIP_MERGES = 3000
T5_LENGTH, CLIP_LENGTH = 96, 77
PLACEHOLDERS = [f"[ref#{i}]" for i in range(1, 10)] + ["[res]"]
CORPUS = """a photo of [ref#1] on a beach at sunset with a red umbrella and two small dogs
the woman from [ref#1] wears the jacket from [ref#2] in a quiet street after rain, and (so) "we" don't: see it's fine; yes!
portrait of a man, studio light, 85mm, shallow depth of field, film grain
a café in Zürich, naïve façade, ça va, Ελληνικά Привет 漢字 日本語
low resolution, blurry, deformed hands, watermark, text, oversaturated, glossy"""


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def make_t5(out):
    """Train a small unigram model with T5's settings: pad 0, </s> 1, <unk> 2, no <s>, NFKC."""
    os.makedirs(out, exist_ok=True)
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        words = CORPUS.split() + WORDS
        with open(f"{scratch}/corpus.txt", "w", encoding="utf-8") as file:
            file.write(CORPUS + "\n")
            for _ in range(600):
                file.write(" ".join(rng.choices(words, k=12)) + "\n")
        spm.SentencePieceTrainer.train(
            input=f"{scratch}/corpus.txt", model_prefix=f"{scratch}/spiece", vocab_size=420, model_type="unigram", pad_id=0, eos_id=1,
            unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", hard_vocab_limit=False,
            character_coverage=0.9995, minloglevel=2, num_threads=1)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(open(f"{scratch}/spiece.model", "rb").read())
    proto.trainer_spec.ClearField("input")
    proto.trainer_spec.model_prefix = "spiece"
    open(f"{out}/spiece.model", "wb").write(proto.SerializeToString())
    write_json(f"{out}/tokenizer_config.json", t5_configurations(len(proto.pieces))["plain"])
    return len(proto.pieces)


def t5_configurations(pieces):
    """The configurations that ids are made with; `published` is FLUX.1-dev's, whose sentinels swallow white space."""
    plain = {"model_max_length": 512, "tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>",
             "pad_token": "<pad>", "extra_ids": 100, "legacy": True}
    flags = {"single_word": False, "normalized": False, "special": True}
    added = {str(i): {"content": t, "lstrip": False, "rstrip": False, **flags} for i, t in enumerate(["<pad>", "</s>", "<unk>"])}
    for k in range(99, -1, -1):
        added[str(pieces + 99 - k)] = {"content": f"<extra_id_{k}>", "lstrip": True, "rstrip": True, **flags}
    published = {**plain, "add_prefix_space": True, "added_tokens_decoder": added, "clean_up_tokenization_spaces": True,
                 "additional_special_tokens": [f"<extra_id_{k}>" for k in range(100)]}
    return {"plain": plain, "published": published, "first": {**plain, "legacy": False},
            "never": {**plain, "add_prefix_space": False}, "few": {**plain, "extra_ids": 5, "model_max_length": 1e30}}


def make_clip(wheel, out):
    """Write the first merges of CLIP's BPE file, with the configuration that FLUX.1-dev publishes."""
    os.makedirs(out, exist_ok=True)
    raw = zipfile.ZipFile(wheel).read("open_clip/bpe_simple_vocab_16e6.txt.gz")
    merges = gzip.open(io.BytesIO(raw)).read().decode("utf-8").split("\n")[1 : CLIP_MERGES + 1]
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in seen]
    vocab = [chr(b) for b in seen] + [chr(256 + i) for i in range(len(rest))]
    vocab += [v + "</w>" for v in vocab] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    write_json(f"{out}/vocab.json", {v: i for i, v in enumerate(vocab)})
    open(f"{out}/merges.txt", "w", encoding="utf-8").write("#version: 0.2\n" + "\n".join(merges) + "\n")
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "special": True}
    write_json(f"{out}/tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>", "do_lower_case": True, "errors": "replace", "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer", "clean_up_tokenization_spaces": True,
        "added_tokens_decoder": {
            str(len(vocab) - 2): {"content": "<|startoftext|>", "normalized": True, **flags},
            str(len(vocab) - 1): {"content": "<|endoftext|>", "normalized": False, **flags}}})
    write_json(f"{out}/special_tokens_map.json", {
        "bos_token": {"content": "<|startoftext|>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
        "eos_token": {"content": "<|endoftext|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False},
        "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})


def encode(tokenizer, text, length):
    """The ids at a length, without padding, and the count of ids that the whole text has."""
    return [tokenizer(text, max_length=length, truncation=True).input_ids, len(tokenizer(text).input_ids)]


def t5_goldens(out, pieces, strings):
    variants = []
    for name, configuration in t5_configurations(pieces).items():
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(f"{out}/t5/spiece.model", directory)
            write_json(f"{directory}/tokenizer_config.json", configuration)
            tokenizer = T5TokenizerFast.from_pretrained(directory)
            with_placeholders = name != "never"
            if with_placeholders:
                tokenizer.add_tokens(PLACEHOLDERS, special_tokens=False)
            variants.append({"name": name, "configuration": json.dumps(configuration), "placeholders": with_placeholders,
                             "vocabulary": len(tokenizer), "ids": [encode(tokenizer, s, T5_LENGTH) for s in strings]})
    write_json(f"{out}/t5.json", {"length": T5_LENGTH, "strings": strings, "variants": variants})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--clip-bpe", required=True)
    arguments.add_argument("--out", required=True)
    options = arguments.parse_args()
    strings = HAND + generated(160, seed=11)
    pieces = make_t5(f"{options.out}/t5")
    t5_goldens(options.out, pieces, strings)
    make_clip(options.clip_bpe, f"{options.out}/clip")
    tokenizer = CLIPTokenizer.from_pretrained(f"{options.out}/clip")
    assert tokenizer.fix_text is None, "ftfy must not be installed"
    write_json(f"{options.out}/clip.json", {
        "length": CLIP_LENGTH, "strings": strings, "ids": [encode(tokenizer, s, CLIP_LENGTH) for s in strings]})


main()
