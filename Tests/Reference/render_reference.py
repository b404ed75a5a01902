"""Render one DreamO task with PyTorch + diffusers and dump every intermediate tensor, as the oracle for parity tests.

    .venv/bin/python render_reference.py --model tiny-flux --task task.json --out golden

task.json, every key but `prompt` optional:
    {"prompt": "a dog [ref#1] on a beach", "width": 128, "height": 96, "steps": 4, "guidance": 3.5, "seed": 7,
     "first_step_guidance": 0, "negative_prompt": "", "neg_guidance": 3.5, "true_cfg": 1.0, "cfg_start": 0, "cfg_end": 0,
     "turbo": true, "version": "v1.1", "max_text_tokens": the tokenizer's model_max_length, at most 512,
     "conditions": [{"image": "dog.png", "task": "ip", "index": 1}]}
Paths of images are relative to the folder of task.json.

Use diffusers 0.33.1 and transformers 4.49, and no ftfy (make_model.py names the full set; ftfy changes CLIP's token ids): with them the final latents equal the
published DreamO pipeline's to the last bit (checked, max difference 0.0 with two references, all five adapters and true
CFG). Newer transformers tokenize a placeholder differently (no separate U+2581 piece before it), which changes the picture.

Images are used as they are (RGB, sides a multiple of 16, no background removal, no resizing): preparing them is a
stage of its own. The condition latent is the posterior's mode when "posterior": "mode" (default), or a sample drawn
with the same generator after the initial noise when "posterior": "sample".

golden.safetensors holds, in float32: t5_vocab, t5_ids, clip_ids, t5_embeds, pooled, noise and ref{i}_latent (both packed),
sigmas (steps + 1 values, the last 0), rope_cos,
rope_sin, img_ids, temb_step0, after_double{i}_txt/_img and after_single{i} of step 0, pred_step{k}, latent_step{k},
vae_in (unpacked, unscaled), image (float, -1..1), and golden.png the picture.

With --layers, layers.safetensors holds what a test of one layer alone needs: `<part>.<module>.in` and `.out`, where
part is t5, clip, vae or dit and the module has upstream's name, each from its first call (the prompt, not the negative
one; the first reference; step 0). `dit.x_embedder.out` is after DreamO's embeddings are added.
"""
import argparse, json, math, os
import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

REF_TOKENS = [f"[ref#{i}]" for i in range(1, 10)] + ["[res]"]


def to_diffusers_names(sd):
    """DreamO's `double_blocks_0…qkv_lora1.down/up` pairs -> {diffusers module name: (down, up)}; qkv is split in three."""
    import re
    pairs = {}
    for key in sd:
        if ".down.weight" not in key:
            continue
        down, up = sd[key].float(), sd[key.replace(".down.", ".up.")].float()
        n = int(re.search(r"(?:double|single)_blocks_(\d+)", key).group(1))
        if key.startswith("double_blocks"):
            root, image = f"transformer_blocks.{n}.attn", "lora1" in key
            qkv = ["to_q", "to_k", "to_v"] if image else ["add_q_proj", "add_k_proj", "add_v_proj"]
            out = f"{root}.to_out.0" if image else f"{root}.to_add_out"
        else:
            root = f"single_transformer_blocks.{n}.attn"
            qkv, out = ["to_q", "to_k", "to_v"], f"single_transformer_blocks.{n}.proj_out"
        if "qkv" in key:
            for name, part in zip(qkv, up.chunk(3, dim=0)):
                pairs[f"{root}.{name}"] = (down, part)
        else:
            pairs[out] = (down, up)
    return pairs


def from_diffusers_names(sd):
    """PEFT names; an `.alpha` beside a pair scales it by alpha / rank."""
    out = {}
    for k, v in sd.items():
        if k.endswith(".lora_A.weight"):
            stem = k[: -len(".lora_A.weight")]
            scale = float(sd[f"{stem}.alpha"]) / v.shape[0] if f"{stem}.alpha" in sd else 1.0
            out[stem[len("transformer.") :]] = (v.float(), scale * sd[f"{stem}.lora_B.weight"].float())
    return out


def pairs(sd):
    return to_diffusers_names(sd) if any(".down.weight" in k for k in sd) else from_diffusers_names(sd)


def fuse(model, pairs, weight):
    modules = dict(model.named_modules())
    for name, (down, up) in pairs.items():
        modules[name].weight.data += weight * (up @ down)


def rope_tables(transformer, ids):
    cos, sin = transformer.pos_embed(ids)
    return cos, sin


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", required=True)
    a.add_argument("--task", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--layers", action="store_true", help="also write layers.safetensors")
    a.add_argument("--dtype", default="float32", choices=["float32", "float64"], help="float64 shows how much is rounding")
    o = a.parse_args()
    dtype = getattr(torch, o.dtype)
    t = {"width": 128, "height": 128, "steps": 4, "guidance": 3.5, "seed": 0, "first_step_guidance": 0.0, "negative_prompt": "",
         "neg_guidance": 3.5, "true_cfg": 1.0, "cfg_start": 0, "cfg_end": 0, "turbo": True, "version": "v1.1",
         "max_text_tokens": 0, "conditions": [], "posterior": "mode", **json.load(open(o.task))}
    if t["first_step_guidance"] == 0:
        t["first_step_guidance"] = t["guidance"]
    m, gold = o.model, {}
    os.makedirs(o.out, exist_ok=True)

    dit = FluxTransformer2DModel.from_pretrained(f"{m}/transformer", torch_dtype=torch.float32).to(dtype).eval()
    vae = AutoencoderKL.from_pretrained(f"{m}/vae", torch_dtype=torch.float32).to(dtype).eval()
    clip = CLIPTextModel.from_pretrained(f"{m}/text_encoder", torch_dtype=torch.float32).eval()  # its mask cannot be float64
    t5 = T5EncoderModel.from_pretrained(f"{m}/text_encoder_2", torch_dtype=torch.float32).to(dtype).eval()
    clip_tok, t5_tok = CLIPTokenizer.from_pretrained(f"{m}/tokenizer"), T5TokenizerFast.from_pretrained(f"{m}/tokenizer_2")
    sched = FlowMatchEulerDiscreteScheduler.from_pretrained(f"{m}/scheduler")

    # DreamO's weights: what is there is used; a folder without dreamo.safetensors is plain FLUX
    def file(name):
        path = f"{m}/dreamo/{name}"
        return load_file(path) if os.path.exists(path) else None
    main_sd = file("dreamo.safetensors")
    has_dreamo = main_sd is not None
    if has_dreamo:
        holder = main_sd.pop("dreamo_t5_embedding.weight")[-10:].float()
        task_emb = main_sd.pop("dreamo_task_embedding.weight").float()
        idx_emb = main_sd.pop("dreamo_idx_embedding.weight").float()
        adapters = [(main_sd, 1.0), (file("dreamo_cfg_distill.safetensors"), 1.0), (file("flux_turbo.safetensors") if t["turbo"] else None, 1.0)]
        if t["version"] == "v1.1":
            adapters += [(file("v1.1/dreamo_sft_lora.safetensors"), 1.0), (file("v1.1/dreamo_dpo_lora.safetensors"), 1.25)]
        else:
            adapters += [(file("dreamo_quality_lora_pos.safetensors"), 0.15), (file("dreamo_quality_lora_neg.safetensors"), -0.8)]
        for sd, weight in adapters:
            if sd is not None:
                fuse(dit, pairs(sd), weight)
    else:
        holder, task_emb, idx_emb = None, torch.zeros(2, dit.inner_dim), torch.zeros(10, dit.inner_dim)

    # the ten placeholder tokens take the next ids after the tokenizer's own; their rows are the last ten of a table
    # resized to len(tokenizer)
    if has_dreamo:
        t5_tok.add_tokens(REF_TOKENS, special_tokens=False)
        t5.resize_token_embeddings(len(t5_tok), mean_resizing=False)
        t5.get_input_embeddings().weight.data[-10:] = holder
    gold["t5_vocab"] = torch.tensor([len(t5_tok)])

    if t["max_text_tokens"] == 0:
        t["max_text_tokens"] = min(512, t5_tok.model_max_length)

    layers = {}
    def watch(part, model, *names):
        def hook(key):
            def f(mod, args, out):
                first = out[0] if isinstance(out, tuple) else out
                if f"{key}.out" not in layers:
                    layers[f"{key}.out"] = first.clone()
                    if args:
                        layers[f"{key}.in"] = args[0].clone()
            return f
        for name in names:
            model.get_submodule(name).register_forward_hook(hook(f"{part}.{name}"))
    if o.layers:
        blocks = range(t5.config.num_layers)
        watch("t5", t5, "shared", *(f"encoder.block.{i}" for i in blocks), *(f"encoder.block.{i}.layer.{j}" for i in blocks for j in (0, 1)),
              "encoder.final_layer_norm")
        watch("clip", clip, "text_model.embeddings", *(f"text_model.encoder.layers.{i}" for i in range(clip.config.num_hidden_layers)),
              "text_model.final_layer_norm")
        for side, way in (("encoder", "down"), ("decoder", "up")):
            watch("vae", vae, f"{side}.conv_in", *(f"{side}.{way}_blocks.{i}" for i in range(4)), f"{side}.{way}_blocks.0.resnets.0",
                  f"{side}.{way}_blocks.0.{way}samplers.0", f"{side}.mid_block.resnets.0", f"{side}.mid_block.attentions.0", f"{side}.mid_block",
                  f"{side}.conv_norm_out", f"{side}.conv_out")

    def encode(prompt):
        ids = t5_tok(prompt, padding="max_length", max_length=t["max_text_tokens"], truncation=True, return_tensors="pt").input_ids
        cids = clip_tok(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        return ids, cids, t5(ids)[0], clip(cids).pooler_output.to(dtype)

    t5_ids, clip_ids, txt, pooled = encode(t["prompt"])
    gold |= {"t5_ids": t5_ids, "clip_ids": clip_ids, "t5_embeds": txt, "pooled": pooled}

    # packed latents: 2x2 patches of a 16-channel latent, row-major over (h/16, w/16)
    def pack(z):
        b, c, h, w = z.shape
        return z.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h // 2 * (w // 2), 4 * c)

    def grid(h, w, h0, w0):
        ids = torch.zeros(h, w, 3)
        ids[..., 1] = torch.arange(h)[:, None] + h0
        ids[..., 2] = torch.arange(w)[None] + w0
        return ids.reshape(h * w, 3)

    gen = torch.Generator("cpu").manual_seed(t["seed"])
    lh, lw = t["height"] // 16, t["width"] // 16
    noise = torch.randn(1, 16, 2 * lh, 2 * lw, generator=gen).to(dtype)
    latents = pack(noise)
    gold["noise"] = latents
    emb = [task_emb[1].expand(latents.shape[1], -1)]
    ids, refs, h0, w0 = [grid(lh, lw, 0, 0)], [], lh, lw
    for i, c in enumerate(t["conditions"]):
        px = torch.from_numpy(np.array(Image.open(os.path.join(os.path.dirname(o.task), c["image"])).convert("RGB"))).permute(2, 0, 1)[None].to(dtype) / 255 * 2 - 1
        post = vae.encode(px).latent_dist
        z = post.mode() if t["posterior"] == "mode" else post.sample(gen)
        z = (z - vae.config.shift_factor) * vae.config.scaling_factor
        gold[f"ref{i}_latent"] = pack(z)
        refs.append(pack(z))
        ch, cw = z.shape[2] // 2, z.shape[3] // 2
        ids.append(grid(ch, cw, h0, w0))
        h0, w0 = h0 + ch, w0 + cw
        emb.append((task_emb[0] + idx_emb[c.get("index", i + 1)]).expand(ch * cw, -1))
    emb, img_ids, txt_ids = torch.cat(emb)[None].to(dtype), torch.cat(ids), torch.zeros(txt.shape[1], 3)
    gold["img_ids"] = img_ids
    cos, sin = dit.pos_embed(torch.cat((txt_ids, img_ids)))
    gold |= {"rope_cos": cos.float(), "rope_sin": sin.float()}

    # schedule: sigma_k linear from 1 to 1/n, then the exponential shift whose mu is linear in the image token count
    n = latents.shape[1]
    cfg = sched.config
    slope = (cfg.max_shift - cfg.base_shift) / (cfg.max_image_seq_len - cfg.base_image_seq_len)
    mu = n * slope + cfg.base_shift - slope * cfg.base_image_seq_len
    sched.set_timesteps(sigmas=np.linspace(1.0, 1 / t["steps"], t["steps"]), mu=mu)
    gold["sigmas"] = sched.sigmas.float()

    record = {"on": False, "emb": False}
    def x_hook(mod, args, out):
        return out + emb if record["emb"] else out  # the plain branch of true CFG gets none, as published
    dit.x_embedder.register_forward_hook(x_hook)
    if o.layers:
        watch("dit", dit, "x_embedder", "context_embedder", "time_text_embed.timestep_embedder", "time_text_embed.text_embedder",
              "transformer_blocks.0.norm1", "transformer_blocks.0.ff", "transformer_blocks.0.ff_context", "single_transformer_blocks.0.proj_mlp",
              "norm_out", "proj_out", *(("time_text_embed.guidance_embedder",) if dit.config.guidance_embeds else ()))
    def temb_hook(mod, args, out):
        if record["on"]:
            gold["temb_step0"] = out
    dit.time_text_embed.register_forward_hook(temb_hook)
    def dbl_hook(i):
        def f(mod, args, out):
            if record["on"]:
                gold[f"after_double{i}_txt"], gold[f"after_double{i}_img"] = out[0], out[1]
        return f
    def sgl_hook(i):
        def f(mod, args, out):
            if record["on"]:
                gold[f"after_single{i}"] = torch.cat(out, 1) if isinstance(out, tuple) else out
        return f
    for i, b in enumerate(dit.transformer_blocks):
        b.register_forward_hook(dbl_hook(i))
    for i, b in enumerate(dit.single_transformer_blocks):
        b.register_forward_hook(sgl_hook(i))

    neg = encode(t["negative_prompt"]) if t["true_cfg"] > 1 else None
    for k, step_t in enumerate(sched.timesteps):
        record["on"] = k == 0
        g = t["first_step_guidance"] if k == 0 else t["guidance"]
        call = lambda x, i, e, p, g: dit(hidden_states=x, timestep=(step_t / 1000).expand(1).to(dtype), guidance=torch.tensor([g], dtype=dtype) if dit.config.guidance_embeds else None,
                                         pooled_projections=p, encoder_hidden_states=e, txt_ids=txt_ids, img_ids=i, return_dict=False)[0]
        record["emb"] = has_dreamo
        pred = call(torch.cat((latents, *refs), 1), img_ids, txt, pooled, g)[:, :n]
        record["on"] = record["emb"] = False
        if neg and t["cfg_start"] <= k < t["cfg_end"]:
            plain = call(latents, img_ids[:n], neg[2], neg[3], t["neg_guidance"])
            pred = plain + t["true_cfg"] * (pred - plain)
        gold[f"pred_step{k}"] = pred
        latents = sched.step(pred, step_t, latents, return_dict=False)[0]
        gold[f"latent_step{k}"] = latents

    z = latents.view(1, lh, lw, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 16, 2 * lh, 2 * lw)
    z = z / vae.config.scaling_factor + vae.config.shift_factor
    img = vae.decode(z, return_dict=False)[0]
    gold |= {"vae_in": z, "image": img}
    px = ((img / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(px).save(f"{o.out}/golden.png")
    plain = lambda tensors: {k: v.contiguous().to(torch.float32 if v.is_floating_point() else torch.int64) for k, v in tensors.items()}
    save_file(plain(gold), f"{o.out}/golden.safetensors")
    if layers:
        save_file(plain(layers), f"{o.out}/layers.safetensors")
    json.dump(t, open(f"{o.out}/task.json", "w"), indent=1)
    print("std of prediction", float(gold["pred_step0"].std()), "pixels", px.mean(), px.std())


main()
