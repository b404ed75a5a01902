"""Write the adapter fixtures: small LoRA files in every naming, and the weights they must merge to.

    python Tests/Reference/make_adapter_goldens.py --out Tests/Fixtures/Adapters

DreamO's naming is merged by the functions of render_reference.py, the others by diffusers 0.33.1's own
converters, which know FLUX's sizes only: their constants are replaced by this model's. Where a converter is
known to be wrong (it swaps the halves of *both* matrices of `final_layer.adaLN_modulation.1`, where only the
rows of the product may be swapped) the weight is merged in BFL's layout and its halves are swapped after.
"""
import argparse, ast, inspect, os, re
import torch
from diffusers.loaders import lora_conversion_utils as lcu
from safetensors.torch import save_file

HIDDEN, MLP, TEXT, POOLED, CHANNELS, DOUBLE, SINGLE, RANK = 8, 32, 12, 10, 16, 2, 2, 2
HERE = os.path.dirname(os.path.abspath(__file__))


def oracle(path):
    """The oracle's functions, without running its main."""
    tree = ast.parse(open(path).read())
    wanted = {"to_diffusers_names", "from_diffusers_names", "pairs", "fuse"}
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    scope = {"torch": torch}
    exec(compile(tree, path, "exec"), scope)
    return scope


def converter(name, **constants):
    """A converter of diffusers with other constants."""
    text = inspect.getsource(getattr(lcu, name))
    for old, new in constants.items():
        assert old in text, old
        text = text.replace(old, new)
    scope = dict(vars(lcu))
    exec(text, scope)
    return scope[name]


def modules():
    """Every Linear: diffusers name -> (out, in)."""
    m = {"x_embedder": (HIDDEN, CHANNELS), "context_embedder": (HIDDEN, TEXT),
         "norm_out.linear": (2 * HIDDEN, HIDDEN), "proj_out": (CHANNELS, HIDDEN)}
    for n, width in (("timestep", 256), ("guidance", 256), ("text", POOLED)):
        m[f"time_text_embed.{n}_embedder.linear_1"] = (HIDDEN, width)
        m[f"time_text_embed.{n}_embedder.linear_2"] = (HIDDEN, HIDDEN)
    for i in range(DOUBLE):
        b = f"transformer_blocks.{i}"
        for n in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out"):
            m[f"{b}.attn.{n}"] = (HIDDEN, HIDDEN)
        for n in ("ff", "ff_context"):
            m[f"{b}.{n}.net.0.proj"], m[f"{b}.{n}.net.2"] = (MLP, HIDDEN), (HIDDEN, MLP)
        m[f"{b}.norm1.linear"] = m[f"{b}.norm1_context.linear"] = (6 * HIDDEN, HIDDEN)
    for i in range(SINGLE):
        b = f"single_transformer_blocks.{i}"
        for n in ("to_q", "to_k", "to_v"):
            m[f"{b}.attn.{n}"] = (HIDDEN, HIDDEN)
        m[f"{b}.proj_mlp"], m[f"{b}.proj_out"] = (MLP, HIDDEN), (HIDDEN, HIDDEN + MLP)
        m[f"{b}.norm.linear"] = (3 * HIDDEN, HIDDEN)
    return m


class Base:
    """The base weights of the tests: exact in float32, different in every module and place."""

    def __init__(self):
        class Module:
            pass
        self.modules = {}
        for name, (out, width) in modules().items():
            i = torch.arange(out * width)
            self.modules[name] = Module()
            values = ((i * 37 + len(name + ".weight") * 11) % 101 - 50).float() / 64
            self.modules[name].weight = values.reshape(out, width)

    def named_modules(self):
        return self.modules.items()

    def changed(self, names):
        return {f"{n}.weight": self.modules[n].weight.contiguous() for n in names}


def bfl_modules():
    """Every Linear in BFL's names: name -> (out, in)."""
    m = {"img_in": (HIDDEN, CHANNELS), "txt_in": (HIDDEN, TEXT), "final_layer.linear": (CHANNELS, HIDDEN),
         "final_layer.adaLN_modulation.1": (2 * HIDDEN, HIDDEN)}
    for n, width in (("time_in", 256), ("guidance_in", 256), ("vector_in", POOLED)):
        m[f"{n}.in_layer"], m[f"{n}.out_layer"] = (HIDDEN, width), (HIDDEN, HIDDEN)
    for i in range(DOUBLE):
        for s in ("img", "txt"):
            b = f"double_blocks.{i}.{s}"
            m[f"{b}_mod.lin"], m[f"{b}_attn.qkv"] = (6 * HIDDEN, HIDDEN), (3 * HIDDEN, HIDDEN)
            m[f"{b}_attn.proj"], m[f"{b}_mlp.0"], m[f"{b}_mlp.2"] = (HIDDEN, HIDDEN), (MLP, HIDDEN), (HIDDEN, MLP)
    for i in range(SINGLE):
        b = f"single_blocks.{i}"
        m[f"{b}.modulation.lin"], m[f"{b}.linear1"] = (3 * HIDDEN, HIDDEN), (3 * HIDDEN + MLP, HIDDEN)
        m[f"{b}.linear2"] = (HIDDEN, HIDDEN + MLP)
    return m


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--reference", default=os.path.join(HERE, "render_reference.py"))
    o = a.parse_args()
    os.makedirs(o.out, exist_ok=True)
    ref = oracle(o.reference)
    g = torch.Generator().manual_seed(11)

    def save(name, tensors):
        save_file({k: v.clone().contiguous() for k, v in tensors.items()}, f"{o.out}/{name}.safetensors")

    def pair(out, width):
        # A sixteenth is exact, so that halving and doubling for alpha changes no bit.
        d = (torch.randn(RANK, width, generator=g) * 8).round() / 16
        return d, (torch.randn(out, RANK, generator=g) * 8).round() / 16

    # DreamO's attention pairs, and the same pairs in XLabs' names and split
    def attention(infix, dot):
        sd = {}
        for i in range(DOUBLE):
            for s in ("1", "2"):
                for n, out in (("qkv", 3 * HIDDEN), ("proj", HIDDEN)):
                    k = f"double_blocks{dot}{i}{infix}{n}_lora{s}"
                    sd[f"{k}.down.weight"], sd[f"{k}.up.weight"] = pair(out, HIDDEN)
        for i in range(SINGLE):
            for n, out, width in (("qkv", 3 * HIDDEN, HIDDEN), ("proj", HIDDEN, HIDDEN + MLP)):
                k = f"single_blocks{dot}{i}{infix}{n}_lora"
                sd[f"{k}.down.weight"], sd[f"{k}.up.weight"] = pair(out, width)
        return sd

    dreamo = attention(".processor.", "_")
    # ref["pairs"] looks at the names only, and embeddings have none of a pair's
    targets = ref["to_diffusers_names"](dreamo)
    base = Base()
    ref["fuse"](base, targets, 1.0)
    save("attention_merged", base.changed(targets))
    embeddings = {"dreamo_t5_embedding.weight": torch.arange(12 * TEXT).reshape(12, TEXT) / 8.0,
                  "dreamo_task_embedding.weight": torch.arange(2 * HIDDEN).reshape(2, HIDDEN) / 16.0,
                  "dreamo_idx_embedding.weight": torch.arange(10 * HIDDEN).reshape(10, HIDDEN) / 32.0}
    save("dreamo", dreamo | embeddings)
    save("dreamo_infix", {k.replace(".processor.", "_attn_proc_"): v for k, v in dreamo.items()})
    alpha = {k.replace(".down.weight", ".lora.alpha"): torch.tensor(1.0) for k in dreamo if ".down." in k}
    save("dreamo_alpha", {k: v * 2 if ".up." in k else v for k, v in dreamo.items()} | alpha)
    split = {}
    for k, v in dreamo.items():
        for j, n in enumerate("qkv" if "qkv_lora" in k else " "):
            part = v.chunk(3)[j] if "qkv_lora" in k and ".up." in k else v
            split[k.replace("qkv_lora", f"{n}_lora")] = part
    save("dreamo_split", split)

    def dotted(k):
        return re.sub(r"_blocks_(\d+)", r"_blocks.\1", k)
    xlabs = {dotted(k): v for k, v in dreamo.items()}
    converted = lcu._convert_xlabs_flux_lora_to_diffusers(dict(xlabs))
    again = ref["from_diffusers_names"](converted)
    for name, (down, up) in targets.items():
        assert torch.equal(again[name][1] @ again[name][0], up @ down), name
    save("xlabs", xlabs)
    save("xlabs_prefixed", {f"diffusion_model.{k}": v for k, v in xlabs.items()})

    # Every Linear, in BFL's names: kohya's with alpha, and lora_A/lora_B
    bfl = {n: pair(*shape) for n, shape in bfl_modules().items()}
    kohya = {}
    for n, (down, up) in bfl.items():
        k = "lora_unet_" + n.replace(".", "_")
        kohya |= {f"{k}.lora_down.weight": down, f"{k}.lora_up.weight": up * 2, f"{k}.alpha": torch.tensor(1.0)}
    # the converter takes no alpha outside the blocks
    known = {k: v for k, v in kohya.items() if "_blocks_" in k or ".alpha" not in k}
    known = {k: v if "_blocks_" in k or "lora_up" not in k else v / 2 for k, v in known.items()}
    dims = {"[3072, 3072, 3072, 12288]": f"[{HIDDEN}, {HIDDEN}, {HIDDEN}, {MLP}]"}
    converted = converter("_convert_kohya_flux_lora_to_diffusers", **dims)(dict(known))
    converted = {k if k.startswith("transformer.") else f"transformer.{k}": v for k, v in converted.items()}
    plain = {f"{n}.lora_{s}.weight": m for n, p in bfl.items() for s, m in zip("AB", p)}
    scales = {f"double_blocks.{i}.{s}_attn.norm.{n}_norm.scale": torch.ones(8)
              for i in range(DOUBLE) for s in ("img", "txt") for n in ("query", "key")}
    scales |= {f"single_blocks.{i}.norm.{n}_norm.scale": torch.ones(8) for i in range(SINGLE) for n in ("query", "key")}
    control = converter("_convert_bfl_flux_control_lora_to_diffusers", **{
        "inner_dim = 3072": f"inner_dim = {HIDDEN}", "num_layers = 19": f"num_layers = {DOUBLE}",
        "num_single_layers = 38": f"num_single_layers = {SINGLE}"})
    controlled = {k: v for k, v in control(dict(plain | scales)).items() if ".lora_" in k}
    down, up = bfl["final_layer.adaLN_modulation.1"]
    shift, scale = up.chunk(2)
    for sd in (converted, controlled):
        sd["transformer.norm_out.linear.lora_A.weight"] = down
        sd["transformer.norm_out.linear.lora_B.weight"] = torch.cat((scale, shift))
    first, second = ref["from_diffusers_names"](converted), ref["from_diffusers_names"](controlled)
    assert first.keys() == second.keys() == modules().keys()
    for n in first:
        assert torch.equal(first[n][1] @ first[n][0], second[n][1] @ second[n][0]), n
    base = Base()
    ref["fuse"](base, first, 1.0)
    save("full_merged", base.changed(first))
    te = {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 4),
          "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(4, 2)}
    save("kohya", kohya | te)
    save("bfl", {f"diffusion_model.{k}": v for k, v in plain.items()})
    save("peft", controlled)
    save("kohya_diffusers", {"lora_transformer_" + k[len("transformer."):].replace(".lora_A", "|down").replace(".lora_B", "|up")
                             .replace(".weight", "").replace(".", "_").replace("|", ".lora_") + ".weight": v
                             for k, v in controlled.items()})

    # Sets, merged by the oracle in its order with its weights
    halved = {k: v * 2 if ".lora_B." in k else v for k, v in controlled.items() if "single" in k}
    halved |= {k.replace(".lora_A.weight", ".alpha"): torch.tensor(1.0) for k in halved if ".lora_A." in k}
    save("peft_alpha", halved)
    for name, files in (
        ("set_v11_merged", ((dreamo, 1.0), (dreamo, 1.0), (controlled, 1.0), (controlled, 1.0), (halved, 1.25))),
        ("set_v1_merged", ((dreamo, 1.0), (dreamo, 0.15), (dreamo, -0.8))),
    ):
        base, names = Base(), {}
        for sd, weight in files:
            found = ref["pairs"](sd)
            ref["fuse"](base, found, weight)
            names |= found
        save(name, base.changed(names))
    print(sum(os.path.getsize(f"{o.out}/{f}") for f in os.listdir(o.out)), "bytes")


main()
