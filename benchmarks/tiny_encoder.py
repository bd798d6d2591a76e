"""CPU time that a tiny image encoder saves in the refiner Stable Diffusion.

python benchmarks/tiny_encoder.py [--quick]

Real sizes of Stable Diffusion 2.1 and of taesd, random weights, one thread. The time of a pass does
not depend on the values of the weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderTiny, PNDMScheduler
from networks import QUICK, REAL, autoencoder, unet

from napari_cliper.segmentation.models.stable_diffusion import Diffusion


def main() -> None:
    """Print the seconds of the two encoders and of the UNet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks, to try it out")
    sizes = QUICK if parser.parse_args().quick else REAL
    torch.set_num_threads(1)
    torch.manual_seed(0)
    denoiser, vae = made(lambda: unet(sizes)), made(lambda: autoencoder(sizes))
    prompt = torch.zeros(1, 77, sizes.unet["cross_attention_dim"])
    usual, tiny = (
        Diffusion(denoiser, encoder, PNDMScheduler(), prompt)
        for encoder in (vae, made(AutoencoderTiny))
    )
    side = usual.image_side
    pixels, noise = torch.rand(1, 3, side, side) * 2 - 1, usual.noise(0)
    with torch.inference_mode():
        seconds = {
            "image encoder of Stable Diffusion": used(lambda: usual.noisy_latents(pixels, noise)),
            "taesd": used(lambda: tiny.noisy_latents(pixels, noise)),
            "UNet": used(lambda: usual.self_attention(noise, torch.clone)),
        }
    for name, one in seconds.items():
        print(f"{name}: {one:.2f} s")
    own, small, rest = seconds.values()
    print(f"refiner: {own + rest:.2f} s, with taesd {small + rest:.2f} s")


def made(build: Callable[[], Any]) -> Any:
    """Return a network with random weights; faster than the usual initialisation."""
    with torch.device("meta"):
        network = build()
    network = network.to_empty(device="cpu")
    for parameter in network.parameters():
        parameter.data.uniform_(-0.02, 0.02)
    return network.eval()


def used(run: Callable[[], Any]) -> float:
    """Return the CPU seconds of the faster of two runs."""
    found = []
    for _ in range(2):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    main()
