"""Weights: found, fetched, stopped, refused. Against a small hub of our own on loopback."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import timm
import torch
from diffusers import AutoencoderTiny
from huggingface_hub import constants
from loopback_hub import COMMIT, point_to

from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    InvalidInputError,
    Stopped,
    WeightsUnavailableError,
)
from napari_cliper.segmentation.models import loading, weights
from napari_cliper.segmentation.progress import Monitor

BIG = os.urandom(600_000)


ENTRY = weights.WeightsEntry(
    name="tiny",
    kind="clip",
    architecture="tiny",
    repositories=("first/tiny", "second/tiny"),
    files=(("unet/model.fp16.safetensors", "unet/model.safetensors"), ("config.json",)),
    size=600_002,
    licence="MIT",
    purpose="A test.",
)


def fill(hub, repository="first/tiny", name="unet/model.fp16.safetensors", content=BIG):
    hub.files[repository, name] = content
    hub.files[repository, "config.json"] = b"{}"


class Watch:
    """A monitor that writes down what it is told, and stops after a time when asked to."""

    def __init__(self, stop_after=None):
        self.seen = []
        self.threads = set()
        self.monitor = Monitor(self.report, self.should_stop)
        self.stop_after = stop_after

    def report(self, progress):
        self.seen.append(progress)
        self.threads.add(threading.current_thread())

    def should_stop(self):
        done = self.seen[-1].done if self.seen else 0
        return self.stop_after is not None and done >= self.stop_after


def looks_complete(cache):
    """Everything in the cache that a program would take for a finished download."""
    return [
        path
        for path in Path(cache).rglob("*")
        if path.is_file() and not path.name.endswith((".incomplete", ".lock", ".TAG"))
    ]


# --- the table


def test_names_of_the_table_are_its_keys_and_every_row_is_usable():
    assert list(weights.REGISTRY)[:4] == ["demo", "ViT-B/16", "ViT-L/14", "ViT-H/14"]
    for name, row in weights.REGISTRY.items():
        assert row.name == name
        assert row.licence
        assert row.purpose.endswith(".")
        assert "\n" not in row.purpose
        assert row.files
        assert all(row.files)
        if row.kind == "diffusion":
            assert not any(file.endswith(".bin") for names in row.files for file in names)
            assert row.files[0][0] == "unet/diffusion_pytorch_model.fp16.safetensors"
        assert bool(row.size) == bool(row.repositories)
    assert not weights.REGISTRY["ViT-H/14"].validated
    mirrors = weights.REGISTRY["stable-diffusion-2.1"].repositories
    assert "stabilityai/stable-diffusion-2-1-base" in mirrors
    assert len(mirrors) == 3
    with pytest.raises(TypeError):
        weights.REGISTRY["x"] = ENTRY


TAGS = {
    "ViT-B/16": "openai", "ViT-L/14": "openai", "ViT-H/14": "laion2b_s32b_b79k",
    "MetaCLIP-ViT-B/16": "metaclip_fullcc", "MetaCLIP-ViT-L/14": "metaclip_fullcc",
    "DFN-ViT-B/16": "dfn2b", "DFN-ViT-L/14": "dfn2b",
}  # fmt: skip


@pytest.mark.parametrize("name", TAGS)
def test_clip_comes_from_where_open_clip_says(name):
    row, tag = weights.entry(name, "clip"), TAGS[name]
    where = open_clip.get_pretrained_cfg(row.architecture, tag)
    assert where["hf_hub"].strip("/") == row.repositories[0]
    assert bool(where.get("quick_gelu")) == row.architecture.endswith("quickgelu")
    (by_tag,) = loading.weights_of(f"open_clip:{row.architecture}/{tag}")
    assert row.licence == by_tag.licence or tag.startswith("laion")
    assert row.restricted == (tag not in {"openai", "laion2b_s32b_b79k"})
    with torch.device("meta"):
        model = open_clip.model.CLIP(**open_clip.get_model_config(row.architecture))
    assert row.size == pytest.approx(4 * sum(p.numel() for p in model.parameters()), rel=1e-3)


@pytest.mark.parametrize(
    "name", [row.name for row in weights.REGISTRY.values() if row.kind == "foundation"]
)
def test_foundation_models_come_from_where_timm_says(name):
    row = weights.entry(name, "foundation")
    with torch.device("meta"):
        model = timm.create_model(row.architecture, pretrained=False)
    assert model.default_cfg["hf_hub_id"] == row.repositories[0]
    assert model.default_cfg["license"] == row.licence.lower()
    assert row.size == pytest.approx(4 * sum(p.numel() for p in model.parameters()), rel=1e-3)


def test_the_tiny_encoder_is_as_large_as_diffusers_makes_it():
    with torch.device("meta"):
        model = AutoencoderTiny()
    size = weights.entry("taesd", "autoencoder").size
    assert size == pytest.approx(4 * sum(p.numel() for p in model.parameters()), rel=1e-3)
    assert model.config.scaling_factor == 1


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InvalidInputError, match=r"Did you mean 'ViT-B/16'\?"):
        weights.entry("vit-b16")
    with pytest.raises(InvalidInputError, match="foundation model 'ViT-B/16'") as error:
        weights.entry("ViT-B/16", "foundation")
    assert "stable" not in str(error.value)


# --- fetching


def test_download_reports_every_byte_and_is_found_afterwards(hub, capfd):
    fill(hub)
    hub.pause = 0.005
    watch = Watch()
    assert weights.cached(ENTRY) is None
    paths = weights.fetch(ENTRY, monitor=watch.monitor)
    assert list(paths) == ["unet/model.fp16.safetensors", "config.json"]
    assert paths["unet/model.fp16.safetensors"].read_bytes() == BIG
    assert paths["config.json"].read_bytes() == b"{}"
    assert weights.cached(ENTRY) == paths

    assert {(step.stage, step.unit) for step in watch.seen} == {
        ("Downloading tiny (licence MIT)", "byte")
    }
    done = [step.done for step in watch.seen]
    assert done == sorted(done)
    assert len(set(done)) >= 4
    assert (watch.seen[-1].done, watch.seen[-1].total) == (600_002, 600_002)
    assert watch.threads == {threading.current_thread()}
    assert capfd.readouterr() == ("", "")
    assert not any("xet" in requested for requested in hub.requested)  # hf_xet could not be stopped

    # The library's own view of the cache agrees, and nothing is asked twice.
    found = huggingface_hub.scan_cache_dir(constants.HF_HUB_CACHE)
    revision = next(iter(next(iter(found.repos)).revisions))
    assert (revision.commit_hash, revision.refs, revision.size_on_disk) == (
        COMMIT,
        frozenset({"main"}),
        600_002,
    )
    hub.requested.clear()
    assert weights.fetch(ENTRY) == paths
    assert hub.requested == []


def test_float16_is_preferred_and_float32_taken_where_there_is_no_other(hub):
    fill(hub)
    fill(hub, name="unet/model.safetensors", content=b"twice as large")
    assert "unet/model.fp16.safetensors" in weights.fetch(ENTRY)
    assert not any(
        "GET" in requested and "unet/model.safetensors" in requested for requested in hub.requested
    )

    fill(hub, "third/tiny", "unet/model.safetensors", b"twice as large")
    paths = weights.fetch(replace(ENTRY, repositories=("third/tiny",)))
    assert paths["unet/model.safetensors"].read_bytes() == b"twice as large"


def test_second_repository_when_the_first_has_not_got_it(hub):
    fill(hub, "second/tiny")
    paths = weights.fetch(ENTRY)
    assert "models--second--tiny" in str(paths["config.json"])
    assert weights.cached(ENTRY) == paths
    assert not any("GET /first" in requested for requested in hub.requested)


def test_what_another_tool_has_fetched_is_used(hub):
    fill(hub)
    huggingface_hub.hf_hub_download("first/tiny", "config.json", tqdm_class=weights._Silent)
    hub.requested.clear()
    weights.fetch(ENTRY)
    assert not any("GET" in requested and "config.json" in requested for requested in hub.requested)


@pytest.mark.parametrize("fault", ["slow", "stalled", "stalled before the first byte"])
def test_stop_takes_effect_while_the_hub_is_slow_or_silent(hub, fault, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 60)  # longer than the hub waits
    fill(hub)
    if fault == "slow":
        hub.pause = 0.05
    else:
        hub.stall_after = 0 if "first" in fault else 100_000
    watch = Watch(stop_after=0 if "first" in fault else 50_000)
    if "first" in fault:  # let it begin, then stop
        begun = time.monotonic()
        watch.stop_after = 10**9
        watch.monitor = Monitor(watch.report, lambda: time.monotonic() > begun + 0.4)
    with pytest.raises(Stopped):
        weights.fetch(ENTRY, monitor=watch.monitor)
    assert not hub.waited_in_vain
    assert hub.sent < len(BIG) // 2
    assert weights.cached(ENTRY) is None
    assert looks_complete(constants.HF_HUB_CACHE) == []

    hub.pause, hub.stall_after = 0, None
    hub.go_on.set()
    hub.ranges.clear()
    assert weights.fetch(ENTRY)["unet/model.fp16.safetensors"].read_bytes() == BIG
    if fault == "slow":  # it went on from where it was
        assert re.fullmatch(r"bytes=[1-9]\d+-", hub.ranges[0])


def test_a_stop_that_was_asked_for_before_downloads_nothing(hub):
    with pytest.raises(Stopped):
        weights.fetch(ENTRY, monitor=Monitor(should_stop=lambda: True))
    assert hub.requested == []


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_connection_that_breaks_is_taken_up_again(hub, knows_ranges):
    fill(hub)
    hub.cut_after, hub.knows_ranges = 300_000, knows_ranges
    assert weights.fetch(ENTRY)["unet/model.fp16.safetensors"].read_bytes() == BIG
    assert hub.ranges[1].startswith("bytes=")


def test_a_part_as_large_as_the_file_is_checked_not_fetched(hub):
    fill(hub)
    blobs = Path(constants.HF_HUB_CACHE) / "models--first--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(BIG).hexdigest()}.incomplete").write_bytes(BIG)
    assert weights.fetch(ENTRY)["unet/model.fp16.safetensors"].read_bytes() == BIG
    assert not any("GET" in requested and "unet" in requested for requested in hub.requested)


def test_bytes_that_are_not_the_announced_ones_are_thrown_away(hub):
    fill(hub)
    hub.lie = bytes(len(BIG))
    with pytest.raises(DamagedWeightsError, match="Download it again"):
        weights.fetch(ENTRY)
    assert weights.cached(ENTRY) is None
    assert looks_complete(constants.HF_HUB_CACHE) == []
    hub.lie = None
    assert weights.fetch(ENTRY)


def test_a_file_that_another_program_finished_meanwhile_is_not_fetched_again(hub):
    fill(hub)
    blobs = Path(constants.HF_HUB_CACHE) / "models--first--tiny" / "blobs"
    real = weights._download

    def overtaken(url, metadata, blob, transfer):
        if metadata.size == len(BIG):
            (blobs / metadata.etag).write_bytes(BIG)
        real(url, metadata, blob, transfer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_download", overtaken)
        assert weights.fetch(ENTRY)["unet/model.fp16.safetensors"].read_bytes() == BIG
    assert not any("GET" in requested and "unet" in requested for requested in hub.requested)


def test_without_links_nothing_is_kept_twice(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    fill(hub)
    paths = weights.fetch(ENTRY)
    if paths["config.json"].is_symlink():
        pytest.fail("the library made a link although it was told not to")
    assert list((Path(constants.HF_HUB_CACHE) / "models--first--tiny" / "blobs").iterdir()) == []
    assert weights.fetch(ENTRY) == paths


# --- what cannot be had


def test_message_says_what_was_tried_where_it_is_expected_and_what_fetches_it(hub):
    hub.refused["first/tiny"] = (403, "GatedRepo")
    hub.files["second/tiny", "config.json"] = b"{}"
    entry = replace(ENTRY, repositories=("first/tiny", "second/tiny", "third/tiny", "fourth/tiny"))
    hub.refused["fourth/tiny"] = (418, "Teapot")
    with pytest.raises(WeightsUnavailableError) as error:
        weights.fetch(entry)
    text = str(error.value)
    assert re.search(r"first/tiny: gated.*hf auth login", text)
    assert "second/tiny: has no unet/model.fp16.safetensors or unet/model.safetensors" in text
    assert "third/tiny: not found" in text
    assert "fourth/tiny: the server answered 418" in text
    assert str(Path(constants.HF_HUB_CACHE) / "models--first--tiny" / "snapshots") in text
    assert "napari-cliper models download tiny" in text


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_asks_nobody(hub, monkeypatch, by):
    fill(hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", by == "environment")
    with pytest.raises(WeightsUnavailableError, match="models download tiny") as error:
        weights.fetch(ENTRY, offline=by == "argument")
    assert "second/tiny: not tried" in str(error.value)
    assert ("HF_HUB_OFFLINE is set" in str(error.value)) == (by == "environment")
    assert hub.requested == []


def test_offline_uses_what_is_there(hub):
    fill(hub)
    paths = weights.fetch(ENTRY)
    hub.requested.clear()
    assert weights.fetch(ENTRY, offline=True) == paths
    assert hub.requested == []


def test_no_connection(monkeypatch, tmp_path):
    point_to(monkeypatch, "http://127.0.0.1:9", tmp_path)  # the discard port: nobody listens
    with pytest.raises(WeightsUnavailableError, match=r"first/tiny: no connection to http://127"):
        weights.fetch(ENTRY)


def test_a_connection_that_stays_broken(hub, monkeypatch):
    fill(hub)
    monkeypatch.setattr(weights, "_RETRIES", 0)
    hub.cut_after = 0
    with pytest.raises(WeightsUnavailableError, match="no connection"):
        weights.fetch(replace(ENTRY, repositories=("first/tiny",)))


def test_a_file_that_is_refused_when_it_is_fetched(hub, monkeypatch):
    fill(hub)
    real = weights._download

    def revoked(*args):
        hub.refused["first/tiny"] = (403, "Revoked")
        real(*args)

    monkeypatch.setattr(weights, "_download", revoked)
    with pytest.raises(WeightsUnavailableError, match="first/tiny: the server answered 403"):
        weights.fetch(ENTRY)


def test_a_server_that_is_no_hub(hub):
    fill(hub)
    hub.is_hub = False
    with pytest.raises(WeightsUnavailableError, match="check HF_ENDPOINT"):
        weights.fetch(ENTRY)


def test_no_permission(hub, monkeypatch, tmp_path):
    fill(hub)
    (tmp_path / "file").write_text("in the way")
    point_to(monkeypatch, hub.url, tmp_path / "file" / "cache")
    with pytest.raises(WeightsUnavailableError, match=r"writing to .* failed"):
        weights.fetch(ENTRY)

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)  # root, who may run the tests, is denied nothing
    with pytest.raises(WeightsUnavailableError, match=r"is not writable.*HF_HOME"):
        weights.fetch(ENTRY)


def test_a_full_disk_is_reported_before_the_download(hub, monkeypatch):
    fill(hub)
    monkeypatch.setattr(
        weights.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})
    )
    with pytest.raises(WeightsUnavailableError, match=r"\(1 MB\).*is full") as error:
        weights.fetch(ENTRY)
    assert "HF_HOME" in str(error.value)
    assert not any("GET" in requested for requested in hub.requested)


def test_package_data(tmp_path, monkeypatch):
    entry = replace(weights.entry("demo"), files=(("no_such_file.safetensors",),))
    assert weights.cached(entry) is None
    with pytest.raises(WeightsUnavailableError, match=r"no_such_file.*Install napari-cliper"):
        weights.fetch(entry)
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "weights.py"))
    (tmp_path / "no_such_file.safetensors").touch()
    expected = {"no_such_file.safetensors": tmp_path / "no_such_file.safetensors"}
    assert weights.cached(entry) == expected
    assert weights.fetch(entry, offline=True) == expected


# --- hashes


def test_hash_of_a_file_is_read_with_progress(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(BIG)
    watch = Watch()
    assert weights.sha256(path, watch.monitor) == hashlib.sha256(BIG).hexdigest()
    assert (watch.seen[-1].stage, watch.seen[-1].done) == ("Checking weights.bin", len(BIG))


def test_hash_of_a_cached_blob_is_its_name(hub):
    fill(hub)
    watch = Watch()
    path = weights.fetch(ENTRY)["unet/model.fp16.safetensors"]
    assert path.is_symlink()
    assert weights.sha256(path, watch.monitor) == hashlib.sha256(BIG).hexdigest()
    assert watch.seen == []  # nothing was read


def test_the_environment_is_honoured(hub, tmp_path):
    """HF_ENDPOINT and HF_HOME are read when the library is imported: in a process of its own."""
    hub.files["timm/vit_small_patch16_224.dino", "model.safetensors"] = BIG
    code = (
        "import json; from napari_cliper.segmentation.models import weights as w; "
        "print(json.dumps({k: str(v) for k, v in w.fetch(w.entry('dino-vits16')).items()}))"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**env, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(json.loads(result.stdout)["model.safetensors"])
    assert path.is_relative_to(
        tmp_path / "home" / "hub" / "models--timm--vit_small_patch16_224.dino"
    )
    assert path.read_bytes() == BIG
    assert result.stderr == ""


def test_a_proxy_is_honoured(hub, monkeypatch):
    """The hub's name is unknown here: only the proxy, which answers in its place, is reached."""
    fill(hub)
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    point_to(monkeypatch, "http://hub.invalid", constants.HF_HUB_CACHE)
    huggingface_hub.close_session()
    assert set(weights.fetch(ENTRY)) == {"unet/model.fp16.safetensors", "config.json"}
    assert any(request.startswith("GET http://hub.invalid/first/tiny") for request in hub.requested)


@pytest.mark.parametrize("proxy", ["socks5://localhost:1", "ftp://localhost:1"])
def test_a_proxy_of_another_kind_is_an_error_with_advice(hub, monkeypatch, proxy):
    fill(hub)
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)  # as where it is not installed
    huggingface_hub.close_session()
    with pytest.raises(WeightsUnavailableError, match=r"the proxy in HTTPS_PROXY.* cannot be used"):
        weights.fetch(ENTRY)
    assert not hub.requested
