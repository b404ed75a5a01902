"""Whole pictures by PyTorch and diffusers in bfloat16: the peer of Benchmarks/compare-pictures.

    pictures_pytorch.py MODEL JOBS.json OUT [--threads N]

JOBS.json is a list of {"conditions": [{"image", "task", "index"}], "prompts": [...], "seed", "steps", "guidance", "width",
"height"}. Adapters are fused before the weights are rounded. The model is loaded and one picture made before the time begins; a
job's references are encoded once. Prints the seconds of all pictures as JSON. The arithmetic is that of
Tests/Reference/render_reference.py.
"""

import argparse
import json
import time
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

PLACEHOLDERS = [f"[ref#{index}]" for index in range(1, 10)] + ["[res]"]
DTYPE = torch.bfloat16


def pack(latent):
    batch, channels, height, width = latent.shape
    blocks = latent.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return blocks.reshape(batch, height // 2 * (width // 2), 4 * channels)


def grid(height, width, row, column):
    ids = torch.zeros(height, width, 3)
    ids[..., 1] = torch.arange(height)[:, None] + row
    ids[..., 2] = torch.arange(width)[None] + column
    return ids.reshape(height * width, 3)


class Pipeline:
    def __init__(self, model):
        def load(kind, name):
            return kind.from_pretrained(f"{model}/{name}", torch_dtype=torch.float32).eval()

        self.dit = load(FluxTransformer2DModel, "transformer")
        self.vae = load(AutoencoderKL, "vae").to(DTYPE)
        self.clip = load(CLIPTextModel, "text_encoder").to(DTYPE)
        self.t5 = load(T5EncoderModel, "text_encoder_2")
        self.clip_tokenizer = CLIPTokenizer.from_pretrained(f"{model}/tokenizer")
        self.t5_tokenizer = T5TokenizerFast.from_pretrained(f"{model}/tokenizer_2")
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(f"{model}/scheduler")
        others = [path.name for path in Path(f"{model}/dreamo").rglob("*.safetensors") if path.name != "dreamo.safetensors"]
        if others:
            raise SystemExit(f"{model} has adapters that are not fused here: {', '.join(others)}")
        state = load_file(f"{model}/dreamo/dreamo.safetensors")
        holders = state.pop("dreamo_t5_embedding.weight")[-10:].float()
        self.task = state.pop("dreamo_task_embedding.weight").to(DTYPE)
        self.index = state.pop("dreamo_idx_embedding.weight").to(DTYPE)
        self.fuse(state)
        self.t5_tokenizer.add_tokens(PLACEHOLDERS, special_tokens=False)
        self.t5.resize_token_embeddings(len(self.t5_tokenizer), mean_resizing=False)
        self.t5.get_input_embeddings().weight.data[-10:] = holders
        self.dit, self.t5 = self.dit.to(DTYPE), self.t5.to(DTYPE)
        self.embedding = None
        self.dit.x_embedder.register_forward_hook(lambda module, inputs, out: out + self.embedding)

    def fuse(self, state):
        """Adds the adapter's pairs to the weights, in PEFT's names; the starter model has none."""
        unknown = [key for key in state if not key.endswith((".lora_A.weight", ".lora_B.weight"))]
        if unknown:
            raise SystemExit(f"tensors that are not fused here: {', '.join(unknown[:3])}")
        modules = dict(self.dit.named_modules())
        for key in [key for key in state if key.endswith(".lora_A.weight")]:
            stem = key.removesuffix(".lora_A.weight")
            module = modules[stem.removeprefix("transformer.")]
            module.weight.data += state[f"{stem}.lora_B.weight"].float() @ state[key].float()

    def references(self, conditions):
        encoded = []
        for condition in conditions:
            pixels = numpy.array(Image.open(condition["image"]).convert("RGB"))
            values = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(DTYPE) / 255 * 2 - 1
            latent = self.vae.encode(values).latent_dist.mode()
            encoded.append((latent - self.vae.config.shift_factor) * self.vae.config.scaling_factor)
        return encoded

    def picture(self, job, prompt, references):
        length = min(512, self.t5_tokenizer.model_max_length)
        padded = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        text = self.t5(self.t5_tokenizer(prompt, max_length=length, **padded).input_ids)[0]
        pooled = self.clip(self.clip_tokenizer(prompt, max_length=77, **padded).input_ids).pooler_output
        rows, columns = job["height"] // 16, job["width"] // 16
        generator = torch.Generator("cpu").manual_seed(job["seed"])
        latents = pack(torch.randn(1, 16, 2 * rows, 2 * columns, generator=generator).to(DTYPE))
        count = latents.shape[1]
        parts, ids = [self.task[1].expand(count, -1)], [grid(rows, columns, 0, 0)]
        tokens, row, column = [], rows, columns
        for condition, latent in zip(job["conditions"], references):
            height, width = latent.shape[2] // 2, latent.shape[3] // 2
            tokens.append(pack(latent))
            ids.append(grid(height, width, row, column))
            parts.append((self.task[0] + self.index[condition["index"]]).expand(height * width, -1))
            row, column = row + height, column + width
        self.embedding = torch.cat(parts)[None]
        config = self.scheduler.config
        slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
        shift = count * slope + config.base_shift - slope * config.base_image_seq_len
        self.scheduler.set_timesteps(sigmas=numpy.linspace(1.0, 1 / job["steps"], job["steps"]), mu=shift)
        guidance = torch.tensor([job["guidance"]], dtype=DTYPE) if self.dit.config.guidance_embeds else None
        ids, text_ids = torch.cat(ids), torch.zeros(text.shape[1], 3)
        for step in self.scheduler.timesteps:
            velocity = self.dit(
                hidden_states=torch.cat((latents, *tokens), 1), timestep=(step / 1000).expand(1).to(DTYPE),
                guidance=guidance, pooled_projections=pooled, encoder_hidden_states=text, txt_ids=text_ids,
                img_ids=ids, return_dict=False,
            )[0][:, :count]
            latents = self.scheduler.step(velocity, step, latents, return_dict=False)[0]
        latent = latents.view(1, rows, columns, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 16, 2 * rows, 2 * columns)
        latent = latent / self.vae.config.scaling_factor + self.vae.config.shift_factor
        image = self.vae.decode(latent.to(DTYPE), return_dict=False)[0].float()
        values = ((image / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().to(torch.uint8)
        return Image.fromarray(values.numpy())


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("jobs")
    parser.add_argument("out")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipeline = Pipeline(options.model)
    jobs = json.loads(Path(options.jobs).read_text())
    pipeline.picture(jobs[0], jobs[0]["prompts"][0], pipeline.references(jobs[0]["conditions"]))
    start = time.monotonic()
    for number, job in enumerate(jobs):
        references = pipeline.references(job["conditions"])
        for index, prompt in enumerate(job["prompts"]):
            pipeline.picture(job, prompt, references).save(f"{options.out}/{number}-{index + 1}.png")
    print(json.dumps({"seconds": time.monotonic() - start}))


main()
