"""The two blocks in OpenVINO on the CPU.

usage: peer_openvino.py f32|bf16|int8-dynamic|int8-ptq --weights DIR --input FILE --cache DIR
                        [--dump FILE]

int8-dynamic: int8 weights, activations quantized on the fly in groups of 256. int8-ptq: weights and
activations int8, calibrated by NNCF on inputs that are not the timed ones. What is left over is
computed in bfloat16 in both.
"""
import os

import openvino as ov
from safetensors.numpy import save_file

import pair

# larger groups are faster and coarser: this one takes three quarters of the time of 32, and beyond
# it there is little left to gain
GROUP = 256
CALIBRATION = 4


def convert(options):
    import torch

    example = tuple(torch.from_numpy(value) for value in pair.arrays(options.input))
    with torch.no_grad():
        return ov.convert_model(pair.load(options.weights), example_input=example,
                                input=[list(value.shape) for value in example])


def quantize(model, options):
    import nncf

    if options.precision == "int8-dynamic":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)

    tokens = pair.arrays(options.input)[3].shape[0]

    def sample(seed):
        values = {name: value.numpy() for name, value in pair.inputs(tokens, seed).items()}
        return [values["image"][None], values["text"][None], values["temb"], values["rope_cos"],
                values["rope_sin"]]

    samples = nncf.Dataset([sample(1000 + number) for number in range(CALIBRATION)])
    return nncf.quantize(model, samples, model_type=nncf.ModelType.TRANSFORMER,
                         subset_size=CALIBRATION, fast_bias_correction=True)


def prepare(options):
    """The model's file in the cache, converted and quantized if it is not there yet."""
    kind = "float" if options.precision in ("f32", "bf16") else options.precision
    name = os.path.splitext(os.path.basename(options.input))[0]
    path = os.path.join(options.cache, f"openvino-{name}-{kind}.xml")
    if not os.path.exists(path):
        model = convert(options)
        if kind != "float":
            model = quantize(model, options)
        # the description goes in place last: it stands for both files
        part = path[:-len(".xml")] + ".part"
        ov.save_model(model, part + ".xml", compress_to_fp16=False)
        os.replace(part + ".bin", path[:-len(".xml")] + ".bin")
        os.replace(part + ".xml", path)
    return path


options = pair.arguments(["f32", "bf16", "int8-dynamic", "int8-ptq"])
path = prepare(options)
if options.runs == 0:
    pair.report([])
    raise SystemExit
settings = {
    "INFERENCE_NUM_THREADS": options.threads,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32" if options.precision == "f32" else "bf16",
}
if options.precision == "int8-dynamic":
    settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP
request = ov.Core().compile_model(path, "CPU", settings).create_infer_request()
values = pair.arrays(options.input)


def infer():
    request.infer(values)
    return request.get_output_tensor().data


passes, result = pair.timed(options.runs, infer)
if options.dump:
    save_file({"output": result[0].astype("float32").copy()}, options.dump)
pair.report(passes, f"openvino {ov.__version__.split('-')[0]}")
