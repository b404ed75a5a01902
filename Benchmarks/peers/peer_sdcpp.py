"""The two blocks in stable-diffusion.cpp, as PyPI's stable-diffusion-cpp-python builds it.

usage: peer_sdcpp.py bf16|q8_0 --weights DIR --input FILE --cache DIR [--dump FILE]

Its Python interface only renders whole pictures from prompts, where neither the stream's values nor
its result can be had. So a small program calls the same library: its loader, its own FLUX blocks
(they are in its headers) and its runner, which is what its sampler calls once a step.
"""
import glob
import json
import os
import subprocess
import sys

import numpy
from safetensors.numpy import load_file, save_file

import pair

SOURCE = r"""
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include "ggml_extend.hpp"
#include "model.h"
#include "flux.hpp"
#include "stable-diffusion.h"

static sd::Tensor<float> read(const std::string& path, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    std::vector<float> values(count);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(values.data()), count * sizeof(float));
    if (!file) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        std::exit(1);
    }
    return sd::Tensor<float>(shape, std::move(values));
}

struct Pair : public GGMLRunner {
    Flux::DoubleStreamBlock double_block{3072, 24, 4.f, 0, true};
    Flux::SingleStreamBlock single_block{3072, 24, 4.f, 0};

    Pair(ggml_backend_t backend, const String2TensorStorage& storage) : GGMLRunner(backend, false) {
        double_block.init(params_ctx, storage, "model.diffusion_model.double_blocks.0");
        single_block.init(params_ctx, storage, "model.diffusion_model.single_blocks.0");
    }

    std::string get_desc() override { return "pair"; }

    void tensors(std::map<std::string, ggml_tensor*>& all) {
        double_block.get_param_tensors(all, "model.diffusion_model.double_blocks.0");
        single_block.get_param_tensors(all, "model.diffusion_model.single_blocks.0");
    }

    sd::Tensor<float> pass(int threads, const sd::Tensor<float>& image,
                           const sd::Tensor<float>& text, const sd::Tensor<float>& temb,
                           const sd::Tensor<float>& rope) {
        auto build = [&]() -> ggml_cgraph* {
            ggml_cgraph* graph = new_graph_custom(FLUX_GRAPH_SIZE);
            ggml_tensor* img = make_input(image);
            ggml_tensor* txt = make_input(text);
            ggml_tensor* vec = make_input(temb);
            ggml_tensor* pe = make_input(rope);
            auto context = get_context();
            auto both = double_block.forward(&context, img, txt, vec, pe);
            auto stream = ggml_concat(compute_ctx, both.second, both.first, 1);
            ggml_build_forward_expand(graph, single_block.forward(&context, stream, vec, pe));
            return graph;
        };
        auto result = compute<float>(build, threads, false);
        if (!result.has_value()) std::exit(1);
        return std::move(*result);
    }
};

static double seconds() {
    return std::chrono::duration<double>(
               std::chrono::steady_clock::now().time_since_epoch()).count();
}

// usage: sdcpp-pair TYPE MODEL FOLDER TEXT IMAGE RUNS THREADS FLASH
int main(int, char** arguments) {
    const std::string type = arguments[1], folder = arguments[3];
    const int64_t texts = std::atoll(arguments[4]), images = std::atoll(arguments[5]);
    const int runs = std::atoi(arguments[6]), threads = std::atoi(arguments[7]);
    auto text = read(folder + "/text", {3072, texts, 1});
    auto image = read(folder + "/image", {3072, images, 1});
    auto temb = read(folder + "/temb", {3072, 1});
    auto rope = read(folder + "/rope", {2, 2, 64, texts + images});

    sd_set_log_callback(
        [](sd_log_level_t level, const char* line, void*) {
            if (level >= SD_LOG_WARN) std::fputs(line, stderr);
        },
        nullptr);
    ModelLoader loader;
    if (!loader.init_from_file(arguments[2], "model.diffusion_model.")) return 1;
    loader.set_wtype_override(type == "q8_0" ? GGML_TYPE_Q8_0 : GGML_TYPE_BF16);
    Pair pair(ggml_backend_cpu_init(), loader.get_tensor_storage_map());
    if (!pair.alloc_params_buffer()) return 1;
    std::map<std::string, ggml_tensor*> all;
    pair.tensors(all);
    if (!loader.load_tensors(all, {}, threads)) return 1;

    pair.set_flash_attention_enabled(std::atoi(arguments[8]));
    // the first pass lays out and first touches the buffer
    auto result = pair.pass(threads, image, text, temb, rope);
    std::string passes;
    for (int run = 0; run < runs; run++) {
        double begun = seconds();
        result = pair.pass(threads, image, text, temb, rope);
        passes += (run ? "," : "") + std::to_string(seconds() - begun);
    }
    std::ofstream file(folder + "/output", std::ios::binary);
    file.write(reinterpret_cast<const char*>(result.data()), result.numel() * sizeof(float));
    std::printf("\n[%s]\n", passes.c_str());
}
"""


def program(cache):
    """The program, compiled against the sources that the installed library was built from."""
    path = os.path.join(cache, "sdcpp-pair")
    if os.path.exists(path):
        return path
    root, = glob.glob(os.path.join(sys.prefix, "src", "stable_diffusion_cpp_python-*", "vendor",
                                   "stable-diffusion.cpp"))
    library, = glob.glob(os.path.join(sys.prefix, "lib", "python*", "site-packages",
                                      "stable_diffusion_cpp", "lib"))
    with open(path + ".cpp", "w") as file:
        file.write(SOURCE)
    # the length of a name is part of a tensor's layout: the library's own build sets it to this
    subprocess.run(
        ["g++", "-O2", "-std=c++17", "-w", "-DGGML_MAX_NAME=128",
         *[f"-I{os.path.join(root, folder)}"
           for folder in ("", "include", "src", "ggml/include", "ggml/src", "thirdparty")],
         path + ".cpp", "-o", path + ".part", f"-L{library}", f"-Wl,-rpath,{library}",
         "-lstable-diffusion"], check=True)
    os.replace(path + ".part", path)
    return path


def model(options):
    """The weights in the layout of FLUX's own file, which is the one that it reads."""
    path = os.path.join(options.cache, "flux.safetensors")
    if os.path.exists(path):
        return path
    import torch
    from safetensors.torch import load_file as load, save_file as save

    source = load(os.path.join(options.weights, "diffusion_pytorch_model.safetensors"))
    target = {}

    def put(name, *names):
        for end in ("weight", "bias"):
            target[f"{name}.{end}"] = torch.cat([source[f"{part}.{end}"] for part in names])

    double, single = "transformer_blocks.0.", "single_transformer_blocks.0."
    for half, norm, query, out, norms, feed in (
            ("img", "norm1", "to_{}", "to_out.0", "norm_{}", "ff"),
            ("txt", "norm1_context", "add_{}_proj", "to_add_out", "norm_added_{}", "ff_context")):
        place = f"double_blocks.0.{half}_"
        put(place + "mod.lin", f"{double}{norm}.linear")
        put(place + "attn.qkv", *[f"{double}attn.{query.format(part)}" for part in "qkv"])
        put(place + "attn.proj", f"{double}attn.{out}")
        put(place + "mlp.0", f"{double}{feed}.net.0.proj")
        put(place + "mlp.2", f"{double}{feed}.net.2")
        for long in ("query", "key"):
            target[f"{place}attn.norm.{long}_norm.scale"] = source[
                f"{double}attn.{norms.format(long[0])}.weight"]
    place = "single_blocks.0."
    put(place + "modulation.lin", f"{single}norm.linear")
    put(place + "linear1", *[f"{single}attn.to_{part}" for part in "qkv"], f"{single}proj_mlp")
    put(place + "linear2", f"{single}proj_out")
    for long in ("query", "key"):
        target[f"{place}norm.{long}_norm.scale"] = source[f"{single}attn.norm_{long[0]}.weight"]
    save(target, path + ".part")
    os.replace(path + ".part", path)
    return path


def write_stream(options):
    """The inputs as the program reads them: how many tokens of text, and of the picture."""
    values = load_file(options.input)
    cos, sin = values["rope_cos"][:, ::2], values["rope_sin"][:, ::2]
    # a pair's rotation as it keeps it: [[cos, -sin], [sin, cos]]
    values["rope"] = numpy.stack((cos, -sin, sin, cos), axis=-1)
    for name in ("text", "image", "temb", "rope"):
        values[name].astype("float32").tofile(os.path.join(folder, name))
    return len(values["text"]), len(values["image"])


def call(runs, flash):
    """The seconds of the passes."""
    done = subprocess.run(
        [binary, options.precision, weights, folder, *map(str, counts), str(runs),
         str(options.threads), str(int(flash))], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}sdcpp-pair ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def way(options):
    """Whether its flash attention, an option of its command line, is the faster way here.

    Each way's best pass is what a busy machine disturbs least.
    """
    name = os.path.splitext(os.path.basename(options.input))[0]
    path = os.path.join(options.cache, f"sdcpp-{name}-{options.precision}.json")
    if not os.path.exists(path):
        best = [min(call(3, flash)) for flash in (False, True)]
        with open(path + ".part", "w") as file:
            json.dump(best, file)
        os.replace(path + ".part", path)
    with open(path) as file:
        without, with_it = json.load(file)
    return with_it < without


options = pair.arguments(["bf16", "q8_0"])
binary, weights = program(options.cache), model(options)
folder = os.path.join(options.cache, "sdcpp-stream")
os.makedirs(folder, exist_ok=True)
counts = write_stream(options)
flash = way(options)
if options.runs == 0:
    pair.report([])
    raise SystemExit
passes = call(options.runs, flash)
if options.dump:
    output = numpy.fromfile(os.path.join(folder, "output"), dtype="float32")
    save_file({"output": output.reshape(-1, pair.HIDDEN)}, options.dump)
pair.report(passes, "with its flash attention" if flash else "without its flash attention")
