"""Build a small random FLUX + DreamO model directory in the real on-disk layout.

The directory is what `FluxPipeline.save_pretrained` writes for FLUX.1-dev, with small dimensions and random
weights, plus a `dreamo/` folder holding adapters in the two key layouts that the published DreamO files use.
A loader that reads this directory reads the published weights: only the numbers in the configs differ.

    python -m venv .venv
    .venv/bin/pip install torch diffusers==0.33.1 transformers==4.49.0 "tokenizers<0.22" "numpy<2.3" \
        safetensors sentencepiece protobuf accelerate pillow
    .venv/bin/pip download --no-deps open-clip-torch      # its wheel carries CLIP's real BPE merges
    .venv/bin/python make_model.py --clip-bpe open_clip_torch-*.whl --out tiny-flux --seed 1

`--clip-bpe` also takes the merges alone: gzipped as in the wheel, or a `.txt` with a version line and any number
of merges, which makes CLIP's vocabulary and embedding as small as that.
"""
import argparse, gzip, io, json, os, random, zipfile
import torch
import sentencepiece as spm
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

CORPUS = """a photo of [ref#1] on a beach at sunset with a red umbrella and two small dogs
the woman from [ref#1] wears the jacket from [ref#2] in a quiet street after rain
portrait of a man, studio light, 85mm, shallow depth of field, film grain
a perfume bottle [ref#1] under spotlight on a marble table with white flowers
generate a same style image. a rooster wearing overalls, watercolor on paper
a toy holding a sign that says dream, blue sky, mountains, snow and pine trees
the quick brown fox jumps over the lazy dog while forty two lamps burn brightly
a cup of coffee next to an open book, morning, window, soft shadows, cinematic
an astronaut riding a horse through a field of sunflowers, highly detailed, 4k
low resolution, blurry, deformed hands, watermark, text, oversaturated, glossy"""


def clip_tokenizer(path, out):
    """Write CLIP's vocab.json and merges.txt from the wheel's BPE file or a subset of its merges; return the vocabulary's size."""
    if path.endswith(".txt"):  # a merges.txt: its first line is the version, every other line a merge
        merges = open(path, encoding="utf-8").read().rstrip("\n").split("\n")[1:]
    else:
        raw = zipfile.ZipFile(path).read("open_clip/bpe_simple_vocab_16e6.txt.gz") if path.endswith(".whl") else open(path, "rb").read()
        merges = gzip.open(io.BytesIO(raw)).read().decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    bs = list(range(ord("!"), ord("~") + 1)) + list(range(ord("¡"), ord("¬") + 1)) + list(range(ord("®"), ord("ÿ") + 1))
    cs, n = bs[:], 0
    for b in range(256):
        if b not in bs:
            bs.append(b), cs.append(256 + n)
            n += 1
    vocab = [chr(c) for c in cs]
    vocab += [v + "</w>" for v in vocab] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    os.makedirs(out, exist_ok=True)
    json.dump({v: i for i, v in enumerate(vocab)}, open(f"{out}/vocab.json", "w"), ensure_ascii=False)
    open(f"{out}/merges.txt", "w").write("#version: 0.2\n" + "\n".join(merges) + "\n")
    json.dump({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "bos_token": "<|startoftext|>",
               "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
              open(f"{out}/tokenizer_config.json", "w"))
    json.dump({"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
               "pad_token": "<|endoftext|>"}, open(f"{out}/special_tokens_map.json", "w"))
    return len(vocab)


def forget_paths(path):
    """The trainer writes its input's and its output's path into the model; a model should not tell where it was made."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(open(path, "rb").read())
    proto.trainer_spec.ClearField("input")
    proto.trainer_spec.model_prefix = "spiece"
    open(path, "wb").write(proto.SerializeToString())


def t5_tokenizer(out, vocab_size, length=512):
    """Train a small unigram model with T5's settings (pad 0, </s> 1, <unk> 2, no <s>, NFKC)."""
    os.makedirs(out, exist_ok=True)
    corpus = f"{out}/corpus.txt"
    rng, words = random.Random(0), CORPUS.split()
    with open(corpus, "w") as f:
        f.write(CORPUS + "\n")
        for _ in range(400):
            f.write(" ".join(rng.choices(words, k=12)) + "\n")
    spm.SentencePieceTrainer.train(input=corpus, model_prefix=f"{out}/spiece", vocab_size=vocab_size, model_type="unigram",
                                   pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>",
                                   unk_piece="<unk>", hard_vocab_limit=False, character_coverage=1.0,
                                   minloglevel=2, byte_fallback=False)
    os.remove(corpus)
    os.remove(f"{out}/spiece.vocab")
    forget_paths(f"{out}/spiece.model")
    json.dump({"model_max_length": length, "tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>",
               "pad_token": "<pad>", "extra_ids": 100, "legacy": True}, open(f"{out}/tokenizer_config.json", "w"))
    proc = spm.SentencePieceProcessor(model_file=f"{out}/spiece.model")
    return proc.get_piece_size() + 100  # + <extra_id_0..99>, as T5 has


def spread(module, seed, scale):
    """Random weights with enough spread that every path matters (biases and norms included)."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(module.named_parameters()):
        if p.ndim > 1:
            fan = p[0].numel()
            p.data = torch.randn(p.shape, generator=g) * (scale / fan ** 0.5)
        elif "norm" in name and name.endswith("weight"):
            p.data = 1 + 0.1 * torch.randn(p.shape, generator=g)
        else:
            p.data = 0.05 * torch.randn(p.shape, generator=g)
    return module


def rename_keys(path, rule):
    """Newer transformers drop the `text_model.` prefix that the published FLUX.1-dev file has; put it back."""
    save_file({rule(k): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


def lora_pair(g, rank, fan_in, fan_out):
    return torch.randn(rank, fan_in, generator=g) / fan_in ** 0.5, 0.3 * torch.randn(fan_out, rank, generator=g) / rank ** 0.5


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--clip-bpe", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--double", type=int, default=2)
    a.add_argument("--single", type=int, default=3)
    a.add_argument("--heads", type=int, default=4)
    a.add_argument("--head-dim", type=int, default=32)
    a.add_argument("--axes", default="8,12,12")
    a.add_argument("--t5-dim", type=int, default=48)
    a.add_argument("--clip-dim", type=int, default=32)
    a.add_argument("--rank", type=int, default=4)
    a.add_argument("--t5-vocab", type=int, default=320)
    a.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    a.add_argument("--groups", type=int, default=32, help="the autoencoder's norm_num_groups")
    a.add_argument("--layers-per-block", type=int, default=2)
    a.add_argument("--vae-channels", default="32,32,64,64", help="the autoencoder's block_out_channels")
    a.add_argument("--text-layers", type=int, default=2, help="layers of each text encoder")
    a.add_argument("--t5-shard", default="20KB", help="largest shard of the T5 encoder")
    a.add_argument("--text-length", type=int, default=512, help="tokenizer_2's model_max_length")
    a.add_argument("--no-guidance", action="store_true", help="no guidance embedding, as schnell")
    a.add_argument("--alpha", type=float, default=0, help="write this alpha beside the pairs of the PEFT-named adapters")
    a.add_argument("--infix", default=".processor.", help="text between the block number and qkv_lora in the original key layout")
    a.add_argument("--adapters", default="all", help="all, none, or names of files to write, comma-separated")
    o = a.parse_args()
    dtype, out, hidden = getattr(torch, o.dtype), o.out, o.heads * o.head_dim
    os.makedirs(out, exist_ok=True)

    clip_vocab = clip_tokenizer(o.clip_bpe, f"{out}/tokenizer")
    vocab = t5_tokenizer(f"{out}/tokenizer_2", o.t5_vocab, o.text_length)

    clip = CLIPTextModel(CLIPTextConfig(vocab_size=clip_vocab, hidden_size=o.clip_dim, intermediate_size=4 * o.clip_dim,
                                        num_hidden_layers=o.text_layers, num_attention_heads=4, max_position_embeddings=77,
                                        hidden_act="quick_gelu", projection_dim=o.clip_dim, eos_token_id=2,
                                        bos_token_id=0, pad_token_id=1))
    spread(clip, o.seed + 1, 1.0).to(dtype).save_pretrained(f"{out}/text_encoder")
    rename_keys(f"{out}/text_encoder/model.safetensors", lambda k: k if k.startswith("text_model.") else "text_model." + k)
    t5 = T5EncoderModel(T5Config(vocab_size=(vocab + 127) // 128 * 128, d_model=o.t5_dim, d_kv=o.t5_dim // 4, d_ff=3 * o.t5_dim,
                                 num_layers=o.text_layers, num_heads=4, feed_forward_proj="gated-gelu", dense_act_fn="gelu_new",
                                 is_gated_act=True, relative_attention_num_buckets=32, relative_attention_max_distance=128,
                                 tie_word_embeddings=False))
    spread(t5, o.seed + 2, 1.0).to(dtype).save_pretrained(f"{out}/text_encoder_2", max_shard_size=o.t5_shard)  # several shards, as XXL has
    vae = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=16, block_out_channels=tuple(int(x) for x in o.vae_channels.split(",")),
                        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                        layers_per_block=o.layers_per_block, norm_num_groups=o.groups, sample_size=1024, scaling_factor=0.3611,
                        shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=True)
    spread(vae, o.seed + 3, 1.0).to(dtype).save_pretrained(f"{out}/vae")
    dit = FluxTransformer2DModel(patch_size=1, in_channels=64, num_layers=o.double, num_single_layers=o.single,
                                 attention_head_dim=o.head_dim, num_attention_heads=o.heads, joint_attention_dim=o.t5_dim,
                                 pooled_projection_dim=o.clip_dim, guidance_embeds=not o.no_guidance,
                                 axes_dims_rope=tuple(int(x) for x in o.axes.split(",")))
    spread(dit, o.seed + 4, 0.7).to(dtype).save_pretrained(f"{out}/transformer", max_shard_size="1MB")
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=True, base_shift=0.5,
                                    max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096).save_pretrained(f"{out}/scheduler")
    json.dump({"_class_name": "FluxPipeline", "_diffusers_version": "0.31.0",
               "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
               "text_encoder_2": ["transformers", "T5EncoderModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
               "tokenizer_2": ["transformers", "T5TokenizerFast"], "transformer": ["diffusers", "FluxTransformer2DModel"],
               "vae": ["diffusers", "AutoencoderKL"]}, open(f"{out}/model_index.json", "w"), indent=2)

    # DreamO's own files. `dreamo.safetensors` and the cfg-distill file use the original-FLUX block names with
    # down/up pairs; the v1.1 sft/dpo files and the turbo file use diffusers names with lora_A/lora_B.
    g = torch.Generator().manual_seed(o.seed + 5)
    mlp = 4 * hidden

    def original_layout(rank):
        sd = {}
        def put(key, fan_in, fan_out):
            d, u = lora_pair(g, rank, fan_in, fan_out)
            sd[f"{key}.down.weight"], sd[f"{key}.up.weight"] = d, u
        for i in range(o.double):
            for s in ("1", "2"):
                put(f"double_blocks_{i}_processor_qkv_lora{s}".replace("_processor_", o.infix), hidden, 3 * hidden)
                put(f"double_blocks_{i}_processor_proj_lora{s}".replace("_processor_", o.infix), hidden, hidden)
        for i in range(o.single):
            put(f"single_blocks_{i}_processor_qkv_lora".replace("_processor_", o.infix), hidden, 3 * hidden)
            put(f"single_blocks_{i}_processor_proj_lora".replace("_processor_", o.infix), hidden + mlp, hidden)
        return sd

    def diffusers_layout(rank, every=False):
        sd = {}
        def put(key, fan_in, fan_out):
            d, u = lora_pair(g, rank, fan_in, fan_out)
            sd[f"transformer.{key}.lora_A.weight"], sd[f"transformer.{key}.lora_B.weight"] = d, u
            if o.alpha:
                sd[f"transformer.{key}.alpha"] = torch.tensor(o.alpha)
        for i in range(o.double):
            b = f"transformer_blocks.{i}"
            for n in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out"):
                put(f"{b}.attn.{n}", hidden, hidden)
            for n in ("ff", "ff_context"):
                put(f"{b}.{n}.net.0.proj", hidden, mlp)
                put(f"{b}.{n}.net.2", mlp, hidden)
            for n in ("norm1.linear", "norm1_context.linear"):
                put(f"{b}.{n}", hidden, 6 * hidden)
        for i in range(o.single):
            b = f"single_transformer_blocks.{i}"
            for n in ("to_q", "to_k", "to_v"):
                put(f"{b}.attn.{n}", hidden, hidden)
            put(f"{b}.proj_mlp", hidden, mlp)
            put(f"{b}.proj_out", hidden + mlp, hidden)
            put(f"{b}.norm.linear", hidden, 3 * hidden)
        put("x_embedder", 64, hidden)
        put("proj_out", hidden, 64)
        if every:  # the published turbo file reaches every Linear
            put("context_embedder", o.t5_dim, hidden)
            put("norm_out.linear", hidden, 2 * hidden)
            for n, fan_in in (("timestep_embedder", 256), ("text_embedder", o.clip_dim)) + (() if o.no_guidance else (("guidance_embedder", 256),)):
                put(f"time_text_embed.{n}.linear_1", fan_in, hidden)
                put(f"time_text_embed.{n}.linear_2", hidden, hidden)
        return sd

    os.makedirs(f"{out}/dreamo/v1.1", exist_ok=True)
    main_lora = original_layout(o.rank)
    main_lora["dreamo_t5_embedding.weight"] = torch.randn(12, o.t5_dim, generator=g)  # the last ten rows are the tokens
    main_lora["dreamo_task_embedding.weight"] = 0.5 * torch.randn(2, hidden, generator=g)
    main_lora["dreamo_idx_embedding.weight"] = 0.5 * torch.randn(10, hidden, generator=g)
    files = {"dreamo.safetensors": main_lora, "dreamo_cfg_distill.safetensors": original_layout(o.rank),
             "v1.1/dreamo_sft_lora.safetensors": diffusers_layout(o.rank), "v1.1/dreamo_dpo_lora.safetensors": diffusers_layout(o.rank),
             "flux_turbo.safetensors": diffusers_layout(o.rank, every=True), "dreamo_quality_lora_pos.safetensors": original_layout(o.rank),
             "dreamo_quality_lora_neg.safetensors": original_layout(o.rank)}
    wanted = files if o.adapters == "all" else [] if o.adapters == "none" else o.adapters.split(",")
    for name, sd in files.items():
        if name not in wanted:
            continue
        save_file({k: v.to(dtype).contiguous() for k, v in sd.items()}, f"{out}/dreamo/{name}")
    print(out, "hidden", hidden, "t5 vocab", vocab)


main()
